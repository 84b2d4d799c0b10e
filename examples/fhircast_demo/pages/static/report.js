// The report as a FHIR resource: built from what the EHR holds, else from what the open carried.

import { refOf, resourceOf } from "./messages.js";

const DONE = new Set(["final", "amended", "corrected", "appended"]);

export const isDone = (report) => DONE.has(report?.status);

/** The measurements of this case: Observations in the content that are about this patient. */
export function observationsOf(context) {
  const patient = resourceOf(context?.context, "Patient");
  return [...(context?.content?.values() ?? [])].filter(
    (each) =>
      each.resourceType === "Observation" && each.subject?.reference === `Patient/${patient?.id}`,
  );
}

/**
 * The whole DiagnosticReport with its new status and text (PUT replaces, CONT-10).
 * @param {object} context the open context
 * @param {object|null} stored the report as the EHR holds it
 */
export function reportResource(context, stored, status, conclusion) {
  const opened = resourceOf(context.context, "DiagnosticReport");
  const base = { ...opened, ...(stored ?? {}) };
  delete base.meta;
  delete base.text;
  const results = observationsOf(context).map((each) => ({ reference: refOf(each) }));
  const report = {
    ...base,
    status,
    subject: opened.subject,
    basedOn: withAccession(base.basedOn, opened.basedOn),
    imagingStudy: opened.imagingStudy ?? opened.study ?? base.imagingStudy,
    conclusion,
  };
  if (results.length) report.result = results;
  if (DONE.has(status)) report.issued = new Date().toISOString();
  return report;
}

/** The stored order reference, with the accession number of the open (PROF-08). */
function withAccession(stored, opened) {
  if (!stored?.length) return opened;
  const [first, ...others] = stored;
  return [{ ...first, ...(opened?.[0]?.identifier ? { ...opened[0], ...first } : {}) }, ...others];
}

export const finalObservation = (observation) => ({ ...observation, status: "final" });
