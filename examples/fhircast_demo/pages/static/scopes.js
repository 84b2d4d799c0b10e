// Granted scopes: what a page may receive, request, and do with FHIR resources. Pure functions.
// Spec: FHIRcast 2.2 (SCO-01 … SCO-04), SMART scopes for FHIR resources in both spellings.

const FHIRCAST = /^fhircast\/(\*|[A-Za-z][A-Za-z0-9_.-]*)\.(read|write|\*)$/;
const FHIR = /^(?:user|patient|system)\/(\*|[A-Za-z]+)\.(read|write|\*|c?r?u?d?s?)(?:\?.*)?$/;
const FIRST_VERSION = { read: "rs", write: "cud", "*": "cruds" };

export class Scopes {
  #granted;

  constructor(text) {
    this.#granted = [...new Set(text.split(/\s+/).filter(Boolean))];
  }

  /** Is any FHIRcast scope among them? */
  get fhircast() {
    return this.#granted.some((scope) => FHIRCAST.test(scope));
  }

  /** Does what was granted cover this one scope? Event names compare without case (GEN-03). */
  cover(scope) {
    return coversFhircast(this.#granted, scope) ?? coversFhir(this.#granted, scope);
  }

  /** Those of `scopes` that were not granted. */
  missing(scopes) {
    return scopes.filter((scope) => !this.cover(scope));
  }
}

export const readScope = (event) => `fhircast/${event}.read`;
export const writeScope = (event) => `fhircast/${event}.write`;

function coversFhircast(granted, scope) {
  const wanted = FHIRCAST.exec(scope);
  if (!wanted) return null;
  const found = granted.map((each) => FHIRCAST.exec(each)).filter(Boolean);
  return found.some(
    ([, event, access]) =>
      (event === "*" || event.toLowerCase() === wanted[1].toLowerCase()) &&
      (access === "*" || access === wanted[2]),
  );
}

/** Each interaction asked for must be in one of the granted scopes of the type. */
function coversFhir(granted, scope) {
  const wanted = FHIR.exec(scope);
  if (!wanted) return granted.includes(scope);
  const found = granted.map((each) => FHIR.exec(each)).filter(Boolean);
  const may = found
    .filter(([, type]) => type === "*" || type === wanted[1])
    .map(([, , access]) => letters(access))
    .join("");
  return [...letters(wanted[2])].every((letter) => may.includes(letter));
}

const letters = (access) => FIRST_VERSION[access] ?? access;
