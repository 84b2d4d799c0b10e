// The viewer's surroundings: toolbar, overlay text, thumbnails, measurement list, keys.

import { h, isTyping, setText } from "./dom.js";
import { lengthOf, lengthText } from "./images.js";
import { quantityText } from "./resources.js";

const TOOLS = {
  window: ["Window", "w"],
  pan: ["Pan", "p"],
  zoom: ["Zoom", "z"],
  ruler: ["Ruler", "m"],
};

const MESSAGES = {
  none: ["No case open.", "Open one in the worklist; its images appear here by themselves."],
  loading: ["Loading the images …", ""],
  "no-study": ["No imaging study in this context.", "Only the patient was opened."],
  failed: ["Images not shown.", "See the message above."],
  out: ["No case open.", "See the message above."],
};

const CLOSED_REPORT = "Open the report in the worklist to share measurements";

export class ViewerPanel {
  canvas = h("canvas", {
    tabindex: "0",
    role: "img",
    "aria-label": "Image; arrow keys scroll the slices",
    "data-testid": "image-canvas",
    "data-ready": "false",
  });
  #page;
  #stage;
  #view;
  #parts = {};
  #thumbsOf = null;

  /** @param {object} page what viewer.js offers: state, measurements(), share(), remove(), select() … */
  constructor(root, page) {
    this.#page = page;
    const parts = this.#parts;
    parts.tools = Object.entries(TOOLS).map(([tool, [label, key]]) =>
      button(label, `${label} (${key.toUpperCase()})`, `tool-${tool}`, () => this.#useTool(tool)),
    );
    parts.presets = h("span", { class: "group", "data-testid": "presets" });
    parts.status = h("span", { class: "tag", "data-testid": "report-status", hidden: true });
    parts.toolbar = h(
      "div",
      { class: "toolbar", role: "toolbar", "aria-label": "Image tools" },
      h("span", { class: "group" }, parts.tools),
      button("Invert", "Invert (I)", "invert", () => this.#invert()),
      button("Reset", "Reset view and window (R)", "reset", () => this.#view.resetWindow()),
      parts.presets,
      h("span", { class: "gap" }),
      parts.status,
    );
    parts.corners = ["tl", "tr", "bl", "br"].map((corner) =>
      h("div", { class: `corner ${corner}` }),
    );
    parts.message = h("div", { class: "empty over", "data-testid": "viewer-message" });
    parts.thumbs = h("div", {
      class: "thumbs",
      role: "listbox",
      "aria-label": "Series",
      hidden: true,
    });
    parts.list = h("ul", { class: "measurements", "data-testid": "measurements" });
    parts.side = h("section", { class: "side" }, h("h2", {}, "Measurements"), parts.list);
    root.append(
      parts.toolbar,
      h(
        "div",
        { class: "desk" },
        parts.thumbs,
        h("div", { class: "stage" }, this.canvas, parts.corners, parts.message),
        parts.side,
      ),
    );
    document.addEventListener("keydown", (event) => this.#key(event));
    this.canvas.addEventListener("pointerup", () => this.#view?.keepWindow());
  }

  attach(stage, view) {
    this.#stage = stage;
    this.#view = view;
    this.#useTool("window");
    this.update();
  }

  /** Draw everything around the picture anew; `focusId` names a measurement to point at. */
  update(focusId = null) {
    if (!this.#stage) return;
    const { state } = this.#page;
    const isOut = this.#page.isOut() && state.images === "none";
    const [title, text] = MESSAGES[isOut ? "out" : state.images] ?? ["", ""];
    this.#parts.message.hidden = state.images === "ready";
    this.#parts.message.replaceChildren(h("strong", {}, title), text);
    this.#drawStatus();
    this.#drawThumbs();
    this.#drawPresets();
    this.#drawList(focusId);
    this.#stage.redraw();
  }

  /** Corner texts and rulers: whose image this is, and how it is shown. */
  overlay() {
    const slice = this.#view?.slice;
    const [topLeft, topRight, bottomLeft, bottomRight] = this.#parts.corners;
    const ready = this.#page.state.images === "ready" && slice;
    for (const corner of this.#parts.corners) corner.hidden = !ready;
    if (!ready) return;
    const { meta } = slice;
    const { center, width } = this.#stage.window;
    const spacing = meta.pixelSpacing ? "" : "uncalibrated";
    setText(
      topLeft,
      `${meta.patientName.replace("^", ", ")}\n${meta.patientId}\n${meta.accession}`,
    );
    setText(
      topRight,
      `${meta.modality}\n${this.#view.series.description || meta.description || ""}`,
    );
    setText(
      bottomLeft,
      `W ${Math.round(width)}  L ${Math.round(center)}\n${Math.round(this.#stage.zoom * 100)} %`,
    );
    const count = this.#view.series.slices.length;
    setText(
      bottomRight,
      [`${this.#view.sliceIndex + 1} / ${count}`, spacing].filter(Boolean).join("\n"),
    );
    const shown = this.#page.measurements().filter((entry) => entry.ruler?.slice === slice.key);
    this.#stage.rulers = shown.map(({ ruler, shared, selected }) => ({
      ...ruler,
      state: selected ? "selected" : shared ? "shared" : "own",
    }));
  }

  #drawStatus() {
    const { anchor } = this.#page.state;
    const report = this.#page.current()?.content.get(anchor);
    const { status } = this.#parts;
    status.hidden = !anchor;
    const words = report?.status ?? (this.#page.reportOpen() ? "not dictated yet" : "images only");
    setText(status, this.#page.reportOpen() ? `Report: ${words}` : words);
    status.dataset.status = report?.status ?? "";
  }

  #drawThumbs() {
    const { study } = this.#view;
    const { thumbs } = this.#parts;
    thumbs.hidden = !study || study.series.length < 2;
    if (study !== this.#thumbsOf) {
      this.#thumbsOf = study;
      thumbs.replaceChildren(
        ...(study?.series ?? []).map((series, index) => this.#thumb(series, index)),
      );
    }
    [...thumbs.children].forEach((each, index) =>
      each.setAttribute("aria-selected", String(index === this.#view.seriesIndex)),
    );
  }

  #thumb(series, index) {
    const picture = h("img", { alt: "", width: "72", height: "72" });
    picture.onload = () => URL.revokeObjectURL(picture.src);
    this.#view.thumbnail(series).then(
      (url) => (picture.src = url),
      () => null, // the series has its name all the same
    );
    return h(
      "button",
      {
        type: "button",
        role: "option",
        "data-testid": "thumbnail",
        onclick: () =>
          this.#view.selectSeries(index).then(() => this.update(), this.#page.failedSlice),
      },
      picture,
      h("span", {}, `${series.description || series.modality} (${series.slices.length})`),
    );
  }

  #drawPresets() {
    const presets = this.#view.presets();
    const key = presets.map(([name]) => name).join();
    if (this.#parts.presets.dataset.key === key) return;
    this.#parts.presets.dataset.key = key;
    this.#parts.presets.replaceChildren(
      ...presets.map(([name, [center, width]], index) =>
        button(name, `${name} (${index + 1})`, `preset-${name.toLowerCase()}`, () => {
          this.#view.setWindow({ center, width });
          this.#view.keepWindow();
        }),
      ),
    );
  }

  #drawList(focusId) {
    const entries = this.#page.measurements();
    this.#parts.side.hidden = !this.#page.state.anchor;
    const rows = entries.map((entry) => this.#measurement(entry, focusId));
    const hint = h("li", { class: "muted" }, "None yet. Choose Ruler (M) and draw on the image.");
    this.#parts.list.replaceChildren(...(rows.length ? rows : [hint]));
  }

  #measurement(entry, focusId) {
    const { ruler, observation } = entry;
    const length = ruler && lengthOf(ruler.a, ruler.b, ruler.spacing);
    const text = length ? lengthText(length) : quantityText(observation) || "Shared by another app";
    const blocked = this.#blocked(length);
    const mayNotSelect = entry.shared && this.#page.mayNotSelect();
    return h(
      "li",
      {
        class: entry.selected ? "selected" : entry.id === focusId ? "fresh" : "",
        "data-testid": "measurement",
        "data-id": entry.id,
        "data-shared": String(entry.shared),
        "data-selected": String(entry.selected),
      },
      h(
        "button",
        {
          type: "button",
          class: "value",
          "data-testid": "measurement-select",
          "aria-pressed": String(entry.selected),
          title: mayNotSelect || (entry.shared ? "Select in all apps" : "Show"),
          onclick: () => this.#page.select(entry),
        },
        text,
      ),
      entry.shared
        ? h("span", { class: "tag", "data-status": "open" }, "shared")
        : h(
            "button",
            {
              type: "button",
              class: "primary",
              "data-testid": "share",
              disabled: Boolean(blocked),
              title: blocked || "Share with the other apps (S)",
              onclick: () => this.#page.share(entry),
            },
            "Share",
          ),
      h(
        "button",
        {
          type: "button",
          class: "quiet",
          "data-testid": "measurement-remove",
          "aria-label": `Remove ${text}`,
          disabled: entry.shared && Boolean(this.#page.mayNotShare()),
          title: (entry.shared && this.#page.mayNotShare()) || null,
          onclick: () => this.#page.remove(entry),
        },
        "✕",
      ),
    );
  }

  /** Why this measurement cannot be shared, "" if it can. */
  #blocked(length) {
    if (this.#page.mayNotShare()) return this.#page.mayNotShare();
    if (!this.#page.reportOpen()) return CLOSED_REPORT;
    const calibrated = !length || length.calibrated;
    return calibrated ? "" : "The image is not calibrated: no length in mm to share";
  }

  #useTool(tool) {
    this.#stage.tool = tool;
    this.canvas.dataset.tool = tool;
    this.#parts.tools.forEach((each, index) =>
      each.setAttribute("aria-pressed", String(Object.keys(TOOLS)[index] === tool)),
    );
  }

  #invert() {
    this.#view.setWindow({ invert: !this.#stage.window.invert });
    this.#view.keepWindow();
  }

  #shareLast() {
    const last = this.#page.measurements().findLast((entry) => !entry.shared);
    const length = last && lengthOf(last.ruler.a, last.ruler.b, last.ruler.spacing);
    if (last && !this.#blocked(length)) this.#page.share(last);
  }

  #key(event) {
    if (isTyping(event) || event.ctrlKey || event.metaKey || event.altKey || !this.#view.slice)
      return;
    const key = event.key.toLowerCase();
    const tool = Object.keys(TOOLS).find((each) => TOOLS[each][1] === key);
    const scroll = {
      arrowdown: 1,
      arrowright: 1,
      arrowup: -1,
      arrowleft: -1,
      pagedown: 5,
      pageup: -5,
    }[key];
    const preset = this.#view.presets()[Number(key) - 1];
    if (tool) this.#useTool(tool);
    else if (scroll) this.#view.goTo(this.#view.sliceIndex + scroll).catch(this.#page.failedSlice);
    else if (preset) this.#parts.presets.children[Number(key) - 1].click();
    else if (key === "i") this.#invert();
    else if (key === "r") this.#view.resetWindow();
    else if (key === "s") this.#shareLast();
    else if (key === "+") this.#stage.zoomBy(1.2);
    else if (key === "-") this.#stage.zoomBy(1 / 1.2);
    else return;
    event.preventDefault();
  }
}

const button = (label, title, testid, press) =>
  h("button", { type: "button", title, "data-testid": testid, onclick: press }, label);
