// Measurements: rulers of this viewer, and the Observations that all apps share about them.

import { newId } from "./messages.js";
import { lengthOf } from "./images.js";

const CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category";

/** The shared form of a ruler: an Observation of a length in mm (CONT-20, CONT-21). */
export function lengthObservation(ruler, meta, patientRef, studyRef) {
  const { value } = lengthOf(ruler.a, ruler.b, meta.pixelSpacing);
  return {
    resourceType: "Observation",
    id: ruler.id,
    identifier: [{ system: "urn:ietf:rfc:3986", value: `urn:uuid:${ruler.id}` }],
    status: "preliminary",
    category: [{ coding: [{ system: CATEGORY, code: "imaging" }] }],
    code: { coding: [{ system: "http://snomed.info/sct", code: "410668003", display: "Length" }] },
    subject: { reference: patientRef },
    effectiveDateTime: ruler.at,
    valueQuantity: { value, unit: "mm", system: "http://unitsofmeasurement.org", code: "mm" },
    derivedFrom: [{ reference: studyRef }],
  };
}

/** Rulers of the studies seen in this window; they survive a reload and a suspended case. */
export class Rulers {
  #key = "viewer.rulers";
  #byStudy;

  constructor(storage = sessionStorage) {
    this.storage = storage;
    this.#byStudy = JSON.parse(storage.getItem(this.#key) ?? "{}");
  }

  of(studyUid) {
    return this.#byStudy[studyUid] ?? [];
  }

  add(studyUid, slice, a, b) {
    const at = new Date().toISOString();
    const ruler = { id: newId(), slice: slice.key, spacing: slice.meta.pixelSpacing, a, b, at };
    this.#byStudy[studyUid] = [...this.of(studyUid), ruler];
    this.#keep();
    return ruler;
  }

  remove(studyUid, id) {
    this.#byStudy[studyUid] = this.of(studyUid).filter((ruler) => ruler.id !== id);
    this.#keep();
  }

  #keep() {
    this.storage.setItem(this.#key, JSON.stringify(this.#byStudy));
  }
}

/**
 * One list of what was measured here and what others have shared.
 * @returns {{id: string, ref: string, ruler: object|null, observation: object|null,
 *   shared: boolean, selected: boolean}[]}
 */
export function measurementList(rulers, context) {
  const content = context?.content ?? new Map();
  const selection = new Set(context?.selection ?? []);
  const entry = (id, ruler, observation) => {
    const ref = `Observation/${id}`;
    return {
      id,
      ref,
      ruler,
      observation,
      shared: Boolean(observation),
      selected: selection.has(ref),
    };
  };
  const own = rulers.map((ruler) =>
    entry(ruler.id, ruler, content.get(`Observation/${ruler.id}`) ?? null),
  );
  const others = [...content.values()]
    .filter(
      (each) =>
        each.resourceType === "Observation" && !rulers.some((ruler) => ruler.id === each.id),
    )
    .map((observation) => entry(observation.id, null, observation));
  return [...own, ...others];
}
