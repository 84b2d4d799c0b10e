// What the dictation shows: the text, its state, the measurements of the case, the two buttons.

import { h, setText } from "./dom.js";
import { isDone } from "./report.js";
import { codeText, quantityText } from "./resources.js";

const EMPTY = {
  none: ["No report open.", "Open a case in the worklist; its report opens here by itself."],
  images: ["Images only.", "The others look at images; no report is open for them."],
  out: ["No report open.", "See the message above."],
};

export class DictationPanel {
  #page;
  #parts = {};

  constructor(root, page) {
    this.#page = page;
    const parts = this.#parts;
    parts.text = h("textarea", {
      "data-testid": "report-text",
      "aria-label": "Report text",
      placeholder: "Findings and impression …",
      spellcheck: "true",
      oninput: () => this.#typed(),
    });
    parts.hint = h("p", { class: "hint", role: "alert", "data-testid": "hint", hidden: true });
    parts.status = h("span", { class: "tag", "data-testid": "case-status", role: "status" });
    parts.save = h(
      "button",
      {
        type: "button",
        "data-testid": "save-draft",
        title: "Save draft (Ctrl+S)",
        onclick: () => page.saveDraft(),
      },
      "Save draft",
    );
    parts.sign = h(
      "button",
      {
        type: "button",
        class: "primary",
        "data-testid": "sign",
        title: "Sign and close (Ctrl+Enter)",
        onclick: () => page.sign(),
      },
      "Sign",
    );
    parts.title = h("h2", {});
    parts.list = h("ul", { class: "measurements", "data-testid": "measurements" });
    parts.editor = h(
      "section",
      { class: "editor" },
      h("div", { class: "toolbar" }, parts.title, h("span", { class: "gap" }), parts.status),
      h(
        "div",
        { class: "desk" },
        h("div", { class: "paper" }, parts.text, parts.hint),
        h("aside", { class: "side" }, h("h2", {}, "Measurements"), parts.list),
      ),
      h(
        "div",
        { class: "toolbar foot" },
        h(
          "span",
          { class: "muted keys" },
          h("kbd", {}, "Ctrl S"),
          " draft  ",
          h("kbd", {}, "Ctrl ↵"),
          " sign  ",
          h("kbd", {}, "Alt M"),
          " insert measurement",
        ),
        h("span", { class: "gap" }),
        parts.save,
        parts.sign,
      ),
    );
    parts.empty = h("div", { class: "empty", "data-testid": "empty" });
    root.append(parts.editor, parts.empty);
    document.addEventListener("keydown", (event) => this.#key(event));
  }

  /** Another case, or its text has come: put the text in, with the caret where it was. */
  show() {
    const { state, drafts } = this.#page;
    const { text } = this.#parts;
    const anchor = this.#page.isReport() ? state.shown.anchor : null;
    text.value = anchor ? drafts.text(anchor) : "";
    if (anchor) text.setSelectionRange(drafts.caret(anchor), drafts.caret(anchor));
    text.dataset.report = anchor ?? "";
    this.hint("");
    this.update();
  }

  update() {
    const { state } = this.#page;
    const parts = this.#parts;
    const open = this.#page.isReport();
    parts.editor.hidden = !open;
    parts.empty.hidden = open;
    const [title, words] = EMPTY[this.#emptyFor()];
    parts.empty.replaceChildren(h("strong", {}, title), words);
    if (!open) return;
    const report = state.shown.context.find((item) => item.key === "report")?.resource;
    setText(parts.title, codeText(report?.code) || "Report");
    const [status, label] = this.#status();
    parts.status.dataset.status = status;
    setText(parts.status, label);
    const locked = this.#page.locked();
    parts.text.readOnly = locked;
    parts.save.disabled = locked || !this.#page.dirty() || Boolean(this.#page.mayNotSave());
    parts.save.title = this.#page.mayNotSave() || "Save draft (Ctrl+S)";
    parts.sign.disabled = locked || Boolean(this.#page.mayNotSign());
    parts.sign.title = this.#page.mayNotSign() || "Sign and close (Ctrl+Enter)";
    parts.text.placeholder = this.#page.mayNotSave() || "Findings and impression …";
    this.#drawList();
  }

  /** What is missing, next to the text. */
  hint(words) {
    this.#parts.hint.hidden = !words;
    setText(this.#parts.hint, words);
    if (words) this.#parts.text.focus();
  }

  /** A select event: bring the selected measurement into focus (IRA-RC-02). */
  focusSelected() {
    this.#parts.list.querySelector('[data-selected="true"]')?.scrollIntoView({ block: "nearest" });
  }

  #emptyFor() {
    const { state } = this.#page;
    if (state.loggedOut || this.#page.isOut()) return "out";
    return state.shown ? "images" : "none";
  }

  #status() {
    const { state } = this.#page;
    if (state.phase === "loading") return ["loading", "Loading …"];
    if (state.phase === "saving") return ["saving", "Saving …"];
    if (state.phase === "signing") return ["signing", "Signing …"];
    if (isDone(state.stored)) return ["final", "Signed"];
    if (this.#page.dirty()) return ["in-progress", "Unsaved text"];
    if (state.stored?.status === "preliminary") return ["dictated", "Draft saved"];
    return ["empty", "Empty report"];
  }

  #typed() {
    const { state, drafts } = this.#page;
    const { text } = this.#parts;
    drafts.type(state.shown.anchor, text.value, text.selectionStart);
    drafts.keepShown(state.shown);
    this.hint("");
    this.update();
    this.#page.typed();
  }

  #drawList() {
    const selection = new Set(this.#page.selection());
    const rows = this.#page.observations().map((observation) => {
      const selected = selection.has(`Observation/${observation.id}`);
      const words = quantityText(observation);
      return h(
        "li",
        {
          class: selected ? "selected" : "",
          "data-testid": "measurement",
          "data-id": observation.id,
          "data-selected": String(selected),
        },
        h(
          "span",
          { class: "value" },
          h("span", { class: "muted" }, codeText(observation.code)),
          ` ${words}`,
        ),
        h(
          "button",
          {
            type: "button",
            "data-testid": "insert",
            disabled: this.#page.locked(),
            onclick: () => this.#insert(words),
          },
          "Insert",
        ),
      );
    });
    const none = h(
      "li",
      { class: "muted" },
      "None yet. Measurements shared by the viewer appear here.",
    );
    this.#parts.list.replaceChildren(...(rows.length ? rows : [none]));
  }

  #insert(words) {
    const { text } = this.#parts;
    const before = text.value.slice(0, text.selectionStart);
    const gap = before && !/\s$/.test(before) ? " " : "";
    text.setRangeText(gap + words, text.selectionStart, text.selectionEnd, "end");
    text.focus();
    this.#typed();
  }

  /** The selected measurement, or the only one there is. */
  #insertChosen() {
    const rows = [...this.#parts.list.querySelectorAll('[data-testid="measurement"]')];
    const chosen =
      rows.find((row) => row.dataset.selected === "true") ?? (rows.length === 1 ? rows[0] : null);
    chosen?.querySelector("button:not(:disabled)")?.click();
  }

  #key(event) {
    if (!this.#page.isReport()) return;
    const command = event.ctrlKey || event.metaKey;
    const key = event.key.toLowerCase();
    if (command && key === "s") this.#page.saveDraft();
    else if (command && key === "enter") this.#page.sign();
    else if (event.altKey && key === "m") this.#insertChosen();
    else return;
    event.preventDefault();
  }
}
