// Images of a study: fetch, check whose they are, decode, apply the window. No DOM.

import { accessionOf, mrnOf, studyUidOf } from "./resources.js";

/** A study cannot be shown; the message is for the user and for the SyncError. No PHI in it. */
export class StudyProblem extends Error {}

/** The Study Instance UID a context names; by accession number through the EHR if need be. */
export async function resolveStudyUid(context, fhir) {
  const study = context.find((item) => item.resource?.resourceType === "ImagingStudy")?.resource;
  const report = context.find(
    (item) => item.resource?.resourceType === "DiagnosticReport",
  )?.resource;
  const uid = studyUidOf(study);
  if (uid) return uid;
  const accession = accessionOf(study, report);
  if (!accession) return null;
  const found = await fhir.search(`ImagingStudy?identifier=${encodeURIComponent(accession)}`);
  return found.map(studyUidOf).find(Boolean) ?? null;
}

/** The study's viewer.json: series with their instances. `get` is a fetch that sends the token. */
export async function fetchStudy(base, uid, signal, get) {
  const url = `${base.replace(/\/+$/, "")}/studies/${encodeURIComponent(uid)}/viewer.json`;
  const response = await fetched(url, signal, get);
  if (response.status === 404) throw new StudyProblem("The image source does not have this study");
  if (!response.ok) throw new StudyProblem(`The image source answered ${response.status}`);
  const study = await response.json();
  const series = (study.series ?? []).map((each) => ({ ...each, slices: slicesOf(each) }));
  return { ...study, series: series.filter((each) => each.slices.length > 0) };
}

async function fetched(url, signal, get) {
  try {
    return await get(url, { signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new StudyProblem(
      error.name === "TimeoutError"
        ? "The images took too long to load"
        : "The image source does not answer",
    );
  }
}

const slicesOf = (series) =>
  series.instances.flatMap((meta) =>
    Array.from({ length: meta.frames ?? 1 }, (_, index) => ({
      meta,
      frame: index + 1,
      key: `${meta.sopInstanceUid}/${index + 1}`,
      url: meta.rawUrl.replace("{frame}", String(index + 1)),
    })),
  );

/**
 * Do the images belong to the patient and the order of the event? Every instance is checked.
 * Returns what is wrong in words, or null.
 */
export function identityProblem(study, uid, context) {
  const of = (type) => context.find((item) => item.resource?.resourceType === type)?.resource;
  const patient = of("Patient");
  const ids = (patient?.identifier ?? []).map((identifier) => identifier.value);
  const accession = accessionOf(of("DiagnosticReport"), of("ImagingStudy"));
  if (!mrnOf(patient)) return "The event names no patient identifier to check the images against";
  const all = study.series.flatMap((series) => series.instances);
  if (all.length === 0) return "The study holds no images";
  if (all.some((meta) => meta.studyInstanceUid !== uid))
    return "The images belong to another study";
  if (all.some((meta) => !ids.includes(meta.patientId)))
    return "The images belong to another patient";
  if (accession && all.some((meta) => meta.accession !== accession)) {
    return "The images belong to another accession number";
  }
  return null;
}

/** The pixels of one slice as a typed array. */
export async function fetchPixels(slice, signal, get) {
  const response = await fetched(slice.url, signal, get);
  if (!response.ok) throw new StudyProblem(`The image source answered ${response.status}`);
  const bytes = await response.arrayBuffer();
  const { rows, columns, samplesPerPixel = 1, bitsAllocated, signed } = slice.meta;
  const wide = bitsAllocated > 8;
  const expected = rows * columns * samplesPerPixel * (wide ? 2 : 1);
  if (bytes.byteLength < expected) throw new StudyProblem("An image is incomplete");
  if (wide) return signed ? new Int16Array(bytes) : new Uint16Array(bytes);
  return signed ? new Int8Array(bytes) : new Uint8Array(bytes);
}

/** A small picture of a slice, as an object URL; whoever shows it revokes it. */
export async function fetchThumbnail(slice, signal, get) {
  const url = slice.url.replace(/\/raw$/, "/rendered?viewport=96,96");
  const response = await fetched(url, signal, get);
  if (!response.ok) throw new StudyProblem(`The image source answered ${response.status}`);
  return URL.createObjectURL(await response.blob());
}

/** Window that shows every value that occurs: for images that bring none. */
export function fullWindow(pixels, { slope = 1, intercept = 0 }) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of pixels) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  const [a, b] = [low * slope + intercept, high * slope + intercept];
  return { center: (a + b) / 2, width: Math.max(1, Math.abs(b - a)) };
}

/** Write the slice as RGBA (DICOM linear window, PS3.3 C.11.2.1.2) into `rgba`. */
export function applyWindow(pixels, meta, { center, width, invert }, rgba) {
  if (meta.samplesPerPixel === 3) return copyColour(pixels, invert, rgba);
  const table = lookupTable(meta, center, width, invert);
  const offset = meta.signed ? table.length / 2 : 0;
  const out = new Uint32Array(rgba.buffer);
  for (let at = 0; at < out.length; at += 1) out[at] = table[pixels[at] + offset];
}

function lookupTable(meta, center, width, invert) {
  const size = meta.bitsAllocated > 8 ? 65536 : 256;
  const table = new Uint32Array(size);
  const { slope = 1, intercept = 0 } = meta;
  const offset = meta.signed ? size / 2 : 0;
  const flip = (meta.photometricInterpretation === "MONOCHROME1") !== Boolean(invert);
  const span = Math.max(width - 1, 1e-6);
  for (let at = 0; at < size; at += 1) {
    const value = (at - offset) * slope + intercept;
    const level = Math.min(1, Math.max(0, (value - (center - 0.5)) / span + 0.5));
    const grey = Math.round((flip ? 1 - level : level) * 255);
    table[at] = 0xff000000 | (grey << 16) | (grey << 8) | grey;
  }
  return table;
}

function copyColour(pixels, invert, rgba) {
  const mask = invert ? 255 : 0;
  for (let from = 0, to = 0; to < rgba.length; from += 3, to += 4) {
    rgba[to] = pixels[from] ^ mask;
    rgba[to + 1] = pixels[from + 1] ^ mask;
    rgba[to + 2] = pixels[from + 2] ^ mask;
    rgba[to + 3] = 255;
  }
}

/** Length between two image points: in mm if the image is calibrated, else in pixels. */
export function lengthOf(a, b, spacing) {
  const [dx, dy] = [b.x - a.x, b.y - a.y];
  const calibrated = Boolean(spacing?.[0] > 0 && spacing?.[1] > 0);
  const value = calibrated ? Math.hypot(dx * spacing[1], dy * spacing[0]) : Math.hypot(dx, dy);
  return { value: Math.round(value * 10) / 10, unit: calibrated ? "mm" : "px", calibrated };
}

export const lengthText = ({ value, unit, calibrated }) =>
  calibrated ? `${value.toFixed(1)} ${unit}` : `${value.toFixed(0)} px (uncalibrated)`;
