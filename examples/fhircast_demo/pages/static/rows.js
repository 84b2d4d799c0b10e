// The rows of the worklist: orders with their patient, study and report. Pure data, no DOM.

import {
  accessionOf,
  codeText,
  identifierOfType,
  mrnOf,
  patientForOpen,
  personName,
  reportForOpen,
  studyForOpen,
} from "./resources.js";

const FINAL = new Set(["final", "amended", "corrected", "appended"]);
const POLLED = ["ServiceRequest", "ImagingStudy", "DiagnosticReport"];

export const STATUS_LABELS = {
  "to-read": "To read",
  open: "Open",
  "in-progress": "In progress",
  dictated: "Dictated",
  final: "Final",
};

export class Rows {
  #byRef = new Map();
  #newest = "";

  /** Load everything once, afterwards only what has changed. True if something has. */
  async refresh(fhir) {
    const queries = this.#newest ? changesSince(this.#newest) : [firstQuery()];
    const found = (await Promise.all(queries.map((query) => fhir.search(query)))).flat();
    for (const resource of found) {
      this.#byRef.set(`${resource.resourceType}/${resource.id}`, resource);
      const updated = resource.meta?.lastUpdated ?? "";
      if (POLLED.includes(resource.resourceType) && updated > this.#newest) this.#newest = updated;
    }
    return found.length > 0;
  }

  /** Every order as a row, oldest first; `open` is a Follower. */
  list(open) {
    return this.#all("ServiceRequest")
      .map((order) => this.#row(order, open))
      .sort(
        (a, b) => a.authored.localeCompare(b.authored) || a.accession.localeCompare(b.accession),
      );
  }

  #row(order, open) {
    const refersTo = (resource, ref) =>
      (resource.basedOn ?? []).some((each) => each.reference === ref);
    const own = `ServiceRequest/${order.id}`;
    const patient = this.#byRef.get(order.subject?.reference);
    const study = this.#all("ImagingStudy").find((each) => refersTo(each, own));
    const report = this.#all("DiagnosticReport").find((each) => refersTo(each, own));
    const anchors = [
      report && `DiagnosticReport/${report.id}`,
      study && `ImagingStudy/${study.id}`,
    ];
    const openAnchors = anchors.filter((anchor) => anchor && open.contexts.has(anchor));
    const current = openAnchors.find((anchor) => anchor === open.currentAnchor) ?? null;
    const shared = open.contexts.get(anchors[0])?.content.get(anchors[0]);
    const status = statusOf(shared ?? report, openAnchors.length > 0, current !== null);
    return {
      key: order.id,
      order,
      patient,
      study,
      report,
      status,
      current,
      openAnchors,
      done: status === "final" && openAnchors.length === 0,
      name: personName(patient) || "Name not available",
      mrn: mrnOf(patient),
      birthDate: patient?.birthDate ?? "",
      accession: accessionOf(order, study),
      modality: modalityOf(study),
      description: study?.description ?? codeText(order.code),
      authored: order.authoredOn ?? "",
    };
  }

  #all(type) {
    return [...this.#byRef.values()].filter((resource) => resource.resourceType === type);
  }
}

const firstQuery = () =>
  "ServiceRequest?status=active,completed&_sort=authored&_count=200&_include=ServiceRequest:patient" +
  "&_revinclude=ImagingStudy:basedon&_revinclude=DiagnosticReport:based-on";

const changesSince = (moment) => {
  const since = `_lastUpdated=gt${encodeURIComponent(moment)}`;
  return [
    `ServiceRequest?${since}&_include=ServiceRequest:patient`,
    `ImagingStudy?status=available&${since}`,
    `DiagnosticReport?${since}`,
  ];
};

function statusOf(report, isOpen, isCurrent) {
  if (FINAL.has(report?.status)) return "final";
  if (isCurrent) return "open";
  if (isOpen) return "in-progress";
  return report?.status === "preliminary" ? "dictated" : "to-read";
}

const modalityOf = (study) =>
  (study?.modality ?? []).map((coding) => coding.code).join("/") ||
  (study?.series?.[0]?.modality?.code ?? "");

export function matches(row, words) {
  const text = [row.name, row.mrn, row.accession, row.modality, row.description, row.birthDate]
    .join(" ")
    .toLowerCase();
  return words
    .toLowerCase()
    .split(/\s+/)
    .every((word) => text.includes(word));
}

/** Context of a DiagnosticReport-open: report, patient, study (PROF-09, IRA-WL-01). */
export function reportContext(row) {
  const accession = identifierOfType(row.order, "ACSN") ??
    identifierOfType(row.study, "ACSN") ?? { value: row.accession };
  return [
    { key: "report", resource: reportForOpen(row.report, row.study, accession) },
    ...imagesContext(row),
  ];
}

/** Context of an ImagingStudy-open: patient and study (PROF-06). */
export const imagesContext = (row) => [
  { key: "patient", resource: patientForOpen(row.patient) },
  { key: "study", resource: studyForOpen(row.study) },
];
