// Reading FHIR resources for people: names, numbers, dates. Missing means "not available", never
// an error (PROF-12).

const TYPE_SYSTEM = "http://terminology.hl7.org/CodeSystem/v2-0203";
const UID_SYSTEM = "urn:dicom:uid";

const hasType = (identifier, code) =>
  (identifier?.type?.coding ?? []).some((coding) => coding.code === code);

export const identifierOfType = (resource, code) =>
  (resource?.identifier ?? []).find((identifier) => hasType(identifier, code)) ?? null;

/** The medical record number, or the first identifier there is. */
export const patientIdentifier = (patient) =>
  identifierOfType(patient, "MR") ?? patient?.identifier?.[0] ?? null;

export function personName(patient) {
  const name = patient?.name?.find((each) => each.use === "official") ?? patient?.name?.[0];
  if (!name) return "";
  if (name.text) return name.text;
  return [name.family, (name.given ?? []).join(" ")].filter(Boolean).join(", ");
}

export const mrnOf = (patient) => patientIdentifier(patient)?.value ?? "";

/** The accession number of a report, an order or a study, wherever it is kept (PROF-05, PROF-08). */
export function accessionOf(...resources) {
  for (const resource of resources) {
    const own = identifierOfType(resource, "ACSN")?.value;
    if (own) return own;
    const ordered = (resource?.basedOn ?? []).find((each) => hasType(each.identifier, "ACSN"));
    if (ordered) return ordered.identifier.value ?? "";
  }
  return "";
}

/** The Study Instance UID without its "urn:oid:"; "" if the study does not carry one. */
export function studyUidOf(study) {
  const identifier = (study?.identifier ?? []).find((each) => each.system === UID_SYSTEM);
  const value = identifier?.value ?? identifierOfType(study, "110180")?.value ?? study?.uid ?? "";
  return value.replace(/^urn:oid:/, "");
}

export const codeText = (concept) =>
  concept?.text ?? concept?.coding?.find((coding) => coding.display)?.display ?? "";

/** The parts of a context array that people look for. */
export function caseOf(context) {
  const of = (type) => context?.find((item) => item.resource?.resourceType === type)?.resource;
  const [patient, study, report] = [of("Patient"), of("ImagingStudy"), of("DiagnosticReport")];
  return {
    patient,
    study,
    report,
    name: personName(patient),
    mrn: mrnOf(patient),
    birthDate: patient?.birthDate ?? "",
    gender: patient?.gender ?? "",
    accession: accessionOf(report, study),
  };
}

/** A FHIR date as people write it; a date has no zone and is never moved by one. */
export function dateText(date) {
  const match = /^(\d{4})-(\d\d)-(\d\d)/.exec(date ?? "");
  if (!match) return date ?? "";
  const day = new Date(Number(match[1]), Number(match[2]) - 1, Number(match[3]));
  return day.toLocaleDateString(undefined, { year: "numeric", month: "short", day: "2-digit" });
}

/** A moment in the user's own zone. */
export const clockText = (moment) =>
  new Date(moment).toLocaleTimeString(undefined, { hour12: false });

export function momentText(moment) {
  if (!moment) return "";
  const date = new Date(moment);
  const today = new Date().toDateString() === date.toDateString();
  return today ? clockText(date) : `${dateText(localDate(date))} ${clockText(date).slice(0, 5)}`;
}

const localDate = (date) =>
  [date.getFullYear(), date.getMonth() + 1, date.getDate()]
    .map((part) => String(part).padStart(2, "0"))
    .join("-");

/** A measurement as it goes into a sentence: "8.2 mm". */
export function quantityText(observation) {
  const quantity = observation?.valueQuantity;
  if (!quantity) return observation?.valueString ?? "";
  return `${quantity.value} ${quantity.unit ?? quantity.code ?? ""}`.trim();
}

const pick = (resource, fields) =>
  Object.fromEntries(
    fields
      .filter((field) => resource[field] !== undefined)
      .map((field) => [field, resource[field]]),
  );

/** No more than the open profiles ask for (PROF-01, PROF-05, PROF-08). */
export const patientForOpen = (patient) =>
  pick(patient, ["resourceType", "id", "identifier", "name", "gender", "birthDate"]);

export const studyForOpen = (study) => ({
  ...pick(study, ["resourceType", "id", "identifier", "subject"]),
  status: "available",
});

/** The report as an open carries it: status "unknown", the order by type and accession number. */
export function reportForOpen(report, study, accession) {
  const basedOn = {
    type: "ServiceRequest",
    identifier: accession.type
      ? accession
      : { ...accession, type: { coding: [{ system: TYPE_SYSTEM, code: "ACSN" }] } },
  };
  return {
    ...pick(report, ["resourceType", "id", "identifier", "code", "subject"]),
    status: "unknown",
    basedOn: [basedOn],
    imagingStudy: [{ reference: `ImagingStudy/${study.id}` }],
  };
}
