// StudyView: the loaded study on the stage: its series, the slice shown, its pixels and windows.

import { fetchPixels, fetchThumbnail, fullWindow } from "./images.js";

const CACHE_SLICES = 200;

export const PRESETS = {
  CT: { Abdomen: [40, 400], Lung: [-600, 1500], Bone: [400, 1800], Brain: [40, 80] },
};

export class StudyView {
  study = null;
  seriesIndex = 0;
  sliceIndex = 0;
  #stage;
  #get;
  #cache = new Map();
  #windows = new Map();
  #remembered = new Map();
  #abort = new AbortController();

  /** @param {typeof fetch} get sends the token along */
  constructor(stage, get) {
    this.#stage = stage;
    this.#get = get;
  }

  get series() {
    return this.study?.series[this.seriesIndex] ?? null;
  }

  get slice() {
    return this.series?.slices[this.sliceIndex] ?? null;
  }

  clear() {
    if (this.study) {
      const { studyInstanceUid } = this.study;
      this.#remembered.set(studyInstanceUid, [this.seriesIndex, this.sliceIndex]);
    }
    this.#abort.abort();
    this.#abort = new AbortController();
    this.study = null;
    this.#cache.clear();
    this.#stage.clear();
    this.#stage.reset();
  }

  /** Show a study whose owner has been checked; back to where it was left (IRA-SUB-10). */
  async show(study) {
    this.study = study;
    const [series, slice] = this.#remembered.get(study.studyInstanceUid) ?? [this.#largest(), null];
    this.seriesIndex = Math.min(series, study.series.length - 1);
    await this.goTo(slice ?? Math.floor((this.series.slices.length - 1) / 2));
  }

  async selectSeries(index) {
    this.seriesIndex = index;
    this.#stage.reset();
    await this.goTo(Math.floor((this.series.slices.length - 1) / 2));
  }

  async goTo(index) {
    const { study } = this;
    const last = this.series.slices.length - 1;
    this.sliceIndex = Math.min(last, Math.max(0, index));
    const { slice } = this;
    const pixels = await this.#pixels(slice);
    if (this.study !== study || this.slice !== slice) return; // the user or the hub has moved on
    this.#stage.window = this.#windowFor(slice, pixels);
    this.#stage.show(slice, pixels);
    this.#stage.redraw();
    this.#ahead();
  }

  /** An object URL of a small picture of the series. */
  thumbnail(series) {
    const middle = series.slices[Math.floor((series.slices.length - 1) / 2)];
    return fetchThumbnail(middle, this.#abort.signal, this.#get);
  }

  setWindow(changes) {
    this.#stage.setWindow(changes);
  }

  /** Keep what the user has set for this series. */
  keepWindow() {
    if (this.series) this.#windows.set(this.series.seriesInstanceUid, this.#stage.window);
  }

  resetWindow() {
    const { slice } = this;
    if (!slice) return;
    this.#windows.delete(this.series.seriesInstanceUid);
    const { pixels } = this.#cache.get(slice.key) ?? {};
    if (pixels) this.#stage.setWindow(this.#windowFor(slice, pixels));
    this.#stage.reset();
  }

  presets() {
    return Object.entries(PRESETS[this.slice?.meta.modality] ?? {});
  }

  #largest() {
    const sizes = this.study.series.map((series) => series.slices.length);
    return sizes.indexOf(Math.max(...sizes));
  }

  #windowFor(slice, pixels) {
    const kept = this.#windows.get(this.series.seriesInstanceUid);
    if (kept) return kept;
    const { windowCenter, windowWidth } = slice.meta;
    const full = () => fullWindow(pixels, slice.meta);
    const { center, width } =
      windowWidth > 0 ? { center: windowCenter, width: windowWidth } : full();
    return { center, width, invert: false };
  }

  async #pixels(slice) {
    let entry = this.#cache.get(slice.key);
    if (!entry) {
      entry = { pixels: null };
      entry.loading = fetchPixels(slice, this.#abort.signal, this.#get).then((pixels) => {
        entry.pixels = pixels;
        return pixels;
      });
      entry.loading.catch(() => this.#cache.delete(slice.key));
      this.#cache.set(slice.key, entry);
      if (this.#cache.size > CACHE_SLICES) this.#cache.delete(this.#cache.keys().next().value);
    }
    return entry.loading;
  }

  /** Load the neighbours, so that scrolling does not wait. */
  #ahead() {
    for (const step of [1, -1, 2, -2]) {
      const next = this.series.slices[this.sliceIndex + step];
      if (next) this.#pixels(next).catch(() => null);
    }
  }
}
