// A little help to build elements. Text is always text, never HTML: messages come from others.

/** h("button", {class: "quiet", onclick: …, "data-testid": …}, "Open") → element. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value") element.value = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

export const byId = (id) => document.getElementById(id);

/** Set text only if it differs: keeps selections, and keeps screen readers from repeating. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** A value that can be copied by a click; its text content is exactly the value. */
export function copyable(testid, label) {
  const button = h("button", {
    type: "button",
    class: "copy",
    "data-testid": testid,
    title: `Copy ${label}`,
    "aria-description": `copies the ${label}`,
    onclick: async () => {
      if (!button.textContent) return;
      await copyText(button.textContent);
      button.classList.add("copied");
      setTimeout(() => button.classList.remove("copied"), 900);
    },
  });
  return button;
}

export async function copyText(text) {
  if (navigator.clipboard && window.isSecureContext) {
    const done = await navigator.clipboard.writeText(text).then(
      () => true,
      () => false, // not allowed in this frame: take the old way
    );
    if (done) return;
  }
  const area = h("textarea", { class: "offscreen", value: text, "aria-hidden": "true" });
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

/** Is the key meant for a text field and not for us? */
export const isTyping = (event) =>
  event.target.closest?.("input, textarea, select, [contenteditable]") !== null &&
  event.target !== document.body;

/** Something was dragged over another pane or the window lost the mouse: never keep dragging. */
export function onDrag(element, { start, move, end }) {
  element.addEventListener("pointerdown", (event) => {
    if (!start(event)) return;
    element.setPointerCapture(event.pointerId);
    const finish = (last) => {
      element.removeEventListener("pointermove", move);
      element.removeEventListener("pointerup", finish);
      element.removeEventListener("pointercancel", finish);
      end(last);
    };
    element.addEventListener("pointermove", move);
    element.addEventListener("pointerup", finish);
    element.addEventListener("pointercancel", finish);
  });
}
