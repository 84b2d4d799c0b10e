// Stage: one canvas that shows one slice, with zoom, pan, window and ruler. Knows no patient.

import { applyWindow, lengthOf, lengthText } from "./images.js";
import { onDrag } from "./dom.js";

const HANDLE_PX = 9;
const COLOURS = { own: "#e8c468", shared: "#7fc0e6", selected: "#8be0a4" };

export class Stage {
  tool = "window";
  window = { center: 0, width: 1, invert: false };
  zoom = 1;
  pan = { x: 0, y: 0 };
  /** Rulers on the slice shown: {id, a, b, state: "own"|"shared"|"selected"}. */
  rulers = [];
  #canvas;
  #slice = null;
  #pixels = null;
  #image = document.createElement("canvas");
  #draft = null;
  #events;
  #frame = 0;

  /** @param {object} events changed(), scrolled(step), measured(a, b), picked(ruler) */
  constructor(canvas, events) {
    this.#canvas = canvas;
    this.#events = events;
    canvas.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("dblclick", () => this.tool !== "ruler" && this.reset());
    onDrag(canvas, this.#dragging());
    new ResizeObserver(() => this.#size()).observe(canvas.parentElement);
  }

  get meta() {
    return this.#slice?.meta ?? null;
  }

  /** Take the picture away, at once and completely. */
  clear() {
    this.#slice = null;
    this.#pixels = null;
    this.#draft = null;
    this.rulers = [];
    this.#canvas.dataset.ready = "false";
    delete this.#canvas.dataset.studyUid;
    delete this.#canvas.dataset.slice;
    this.#draw();
  }

  show(slice, pixels) {
    this.#slice = slice;
    this.#pixels = pixels;
    this.#draft = null;
    this.#image.width = slice.meta.columns;
    this.#image.height = slice.meta.rows;
    this.#render();
    this.#size();
    this.#canvas.dataset.studyUid = slice.meta.studyInstanceUid;
    this.#canvas.dataset.slice = slice.key;
    this.#canvas.dataset.ready = "true";
  }

  setWindow(changes) {
    this.window = { ...this.window, ...changes };
    this.window.width = Math.max(1, this.window.width);
    this.#render();
    this.redraw();
  }

  zoomBy(factor) {
    this.zoom = Math.min(20, Math.max(0.2, this.zoom * factor));
    this.redraw();
  }

  reset() {
    this.zoom = 1;
    this.pan = { x: 0, y: 0 };
    this.redraw();
  }

  redraw() {
    cancelAnimationFrame(this.#frame);
    this.#frame = requestAnimationFrame(() => this.#draw());
    this.#events.changed();
  }

  /** The canvas position (CSS pixels) of an image point; tests and the ruler use it. */
  toScreen(point) {
    const { scaleX, scaleY, left, top } = this.#placement();
    return { x: left + point.x * scaleX, y: top + point.y * scaleY };
  }

  #toImage(event) {
    const box = this.#canvas.getBoundingClientRect();
    const { scaleX, scaleY, left, top } = this.#placement();
    return {
      x: (event.clientX - box.left - left) / scaleX,
      y: (event.clientY - box.top - top) / scaleY,
    };
  }

  #placement() {
    const { columns, rows, pixelSpacing } = this.#slice.meta;
    const aspect =
      pixelSpacing?.[0] > 0 && pixelSpacing?.[1] > 0 ? pixelSpacing[0] / pixelSpacing[1] : 1;
    const [width, height] = [this.#canvas.clientWidth, this.#canvas.clientHeight];
    const scaleX = Math.min(width / columns, height / (rows * aspect)) * this.zoom;
    const scaleY = scaleX * aspect;
    const left = (width - columns * scaleX) / 2 + this.pan.x;
    const top = (height - rows * scaleY) / 2 + this.pan.y;
    return { scaleX, scaleY, left, top };
  }

  #render() {
    if (!this.#slice) return;
    const { columns, rows } = this.#slice.meta;
    const data = new ImageData(columns, rows);
    applyWindow(this.#pixels, this.#slice.meta, this.window, data.data);
    this.#image.getContext("2d").putImageData(data, 0, 0);
  }

  #size() {
    const ratio = window.devicePixelRatio || 1;
    const { clientWidth, clientHeight } = this.#canvas;
    const [width, height] = [Math.round(clientWidth * ratio), Math.round(clientHeight * ratio)];
    if (this.#canvas.width !== width || this.#canvas.height !== height) {
      this.#canvas.width = width;
      this.#canvas.height = height;
    }
    this.#draw();
  }

  #draw() {
    const context = this.#canvas.getContext("2d");
    const ratio = window.devicePixelRatio || 1;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.fillStyle = "#000";
    context.fillRect(0, 0, this.#canvas.width, this.#canvas.height);
    if (!this.#slice) return;
    const { scaleX, scaleY, left, top } = this.#placement();
    const { columns, rows } = this.#slice.meta;
    context.imageSmoothingQuality = "high";
    context.drawImage(this.#image, left, top, columns * scaleX, rows * scaleY);
    for (const ruler of this.rulers) this.#drawRuler(context, ruler, COLOURS[ruler.state]);
    if (this.#draft) this.#drawRuler(context, this.#draft, COLOURS.own);
  }

  #drawRuler(context, ruler, colour) {
    const [a, b] = [this.toScreen(ruler.a), this.toScreen(ruler.b)];
    context.strokeStyle = context.fillStyle = colour;
    context.lineWidth = ruler.state === "selected" ? 2.5 : 1.5;
    context.shadowColor = "#000";
    context.shadowBlur = 3;
    context.beginPath();
    context.moveTo(a.x, a.y);
    context.lineTo(b.x, b.y);
    for (const end of [a, b]) {
      context.moveTo(end.x + 3, end.y);
      context.arc(end.x, end.y, 3, 0, 7);
    }
    context.stroke();
    context.font = "600 13px 'Liberation Sans', 'DejaVu Sans', sans-serif";
    const text = lengthText(lengthOf(ruler.a, ruler.b, this.meta.pixelSpacing));
    const right = this.#canvas.clientWidth - context.measureText(text).width - 4;
    context.fillText(
      text,
      Math.max(4, Math.min(right, Math.max(a.x, b.x) + 8)),
      (a.x > b.x ? a.y : b.y) - 6,
    );
    context.shadowBlur = 0;
  }

  #wheel(event) {
    event.preventDefault();
    if (event.ctrlKey) this.zoomBy(event.deltaY < 0 ? 1.1 : 1 / 1.1);
    else if (event.deltaY !== 0) this.#events.scrolled(Math.sign(event.deltaY));
  }

  #dragging() {
    let mode = null;
    let last = null;
    let travelled = 0;
    return {
      start: (event) => {
        if (!this.#slice) return false;
        this.#canvas.focus();
        mode = { 0: event.shiftKey ? "pan" : this.tool, 1: "pan", 2: "zoom" }[event.button] ?? null;
        last = event;
        travelled = 0;
        if (mode === "ruler") this.#draft = { a: this.#toImage(event), b: this.#toImage(event) };
        return mode !== null;
      },
      move: (event) => {
        const [dx, dy] = [event.clientX - last.clientX, event.clientY - last.clientY];
        last = event;
        travelled += Math.abs(dx) + Math.abs(dy);
        if (this.#slice) this.#drag(mode, dx, dy, event);
      },
      end: (event) => {
        const draft = this.#draft;
        this.#draft = null;
        if (!this.#slice) return;
        if (mode === "ruler" && draft && travelled > 4) {
          draft.b = this.#toImage(event);
          this.#events.measured(draft.a, draft.b);
        } else if (travelled <= 4 && event.button === 0) {
          const ruler = this.#rulerAt(event);
          if (ruler) this.#events.picked(ruler);
        }
        this.redraw();
      },
    };
  }

  #drag(mode, dx, dy, event) {
    if (mode === "window") {
      const gain = Math.max(0.2, this.window.width / 400);
      const { center, width } = this.window;
      this.setWindow({ center: center + dy * gain, width: width + dx * gain });
    } else if (mode === "pan") {
      this.pan = { x: this.pan.x + dx, y: this.pan.y + dy };
      this.redraw();
    } else if (mode === "zoom") {
      this.zoomBy(Math.exp(-dy / 150));
    } else if (mode === "ruler" && this.#draft) {
      this.#draft.b = this.#toImage(event);
      this.redraw();
    }
  }

  #rulerAt(event) {
    const box = this.#canvas.getBoundingClientRect();
    const point = { x: event.clientX - box.left, y: event.clientY - box.top };
    const near = (ruler) =>
      distance(point, this.toScreen(ruler.a), this.toScreen(ruler.b)) < HANDLE_PX;
    return this.rulers.find(near) ?? null;
  }
}

function distance(point, a, b) {
  const length = (b.x - a.x) ** 2 + (b.y - a.y) ** 2 || 1;
  const along = ((point.x - a.x) * (b.x - a.x) + (point.y - a.y) * (b.y - a.y)) / length;
  const t = Math.min(1, Math.max(0, along));
  return Math.hypot(point.x - a.x - t * (b.x - a.x), point.y - a.y - t * (b.y - a.y));
}
