// Dictated text per report: what is typed and what of it is saved. Survives a page reload.

export class Drafts {
  #key = "dictation.drafts";
  #shownKey = "dictation.shown";
  #byReport;

  constructor(storage = sessionStorage) {
    this.storage = storage;
    this.#byReport = JSON.parse(storage.getItem(this.#key) ?? "{}");
  }

  has(anchor) {
    return anchor in this.#byReport;
  }

  text(anchor) {
    return this.#byReport[anchor]?.text ?? "";
  }

  caret(anchor) {
    return this.#byReport[anchor]?.caret ?? this.text(anchor).length;
  }

  /** Typed since the last save? */
  isDirty(anchor) {
    const draft = this.#byReport[anchor];
    return Boolean(draft) && draft.text !== draft.saved;
  }

  type(anchor, text, caret) {
    const saved = this.#byReport[anchor]?.saved ?? "";
    this.#byReport[anchor] = { text, saved, caret };
    this.#keep();
  }

  /** `text` is safe in the EHR; what was typed meanwhile stays unsaved. */
  saved(anchor, text) {
    const draft = this.#byReport[anchor] ?? { text };
    this.#byReport[anchor] = { ...draft, saved: text };
    this.#keep();
  }

  /** Back to what is saved. */
  discard(anchor) {
    const saved = this.#byReport[anchor]?.saved ?? "";
    this.#byReport[anchor] = { text: saved, saved };
    this.#keep();
  }

  forget(anchor) {
    delete this.#byReport[anchor];
    this.#keep();
  }

  /** The case on screen, so that a reload comes back to unsaved text and nothing else. */
  keepShown(context) {
    if (!context) return this.storage.removeItem(this.#shownKey);
    const { anchor, context: items, openedAt, openMessage } = context;
    const kept = { anchor, context: items, openedAt, openMessage };
    return this.storage.setItem(this.#shownKey, JSON.stringify(kept));
  }

  /** The case with unsaved text that a reload interrupted, or null. */
  interrupted() {
    const kept = JSON.parse(this.storage.getItem(this.#shownKey) ?? "null");
    return kept && this.isDirty(kept.anchor)
      ? { ...kept, content: new Map(), selection: [] }
      : null;
  }

  #keep() {
    this.storage.setItem(this.#key, JSON.stringify(this.#byReport));
  }
}
