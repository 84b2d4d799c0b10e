// FHIRcast messages: how to read them and how to build them. Pure functions, no I/O.
// Wire spellings such as "context.versionId" live here only.

const SYNCERROR = "https://fhircast.hl7.org/events/syncerror/";

/** Keys of the anchor item that are not simply the lower-case resource type (EVT-14). */
const ANCHOR_KEYS = { DiagnosticReport: "report", ImagingStudy: "study" };

export const newId = () => {
  if (crypto.randomUUID) return crypto.randomUUID();
  // Outside a secure context (plain http on another host) browsers hide randomUUID.
  const hex = [...crypto.getRandomValues(new Uint8Array(16))];
  hex[6] = (hex[6] & 0x0f) | 0x40;
  hex[8] = (hex[8] & 0x3f) | 0x80;
  return hex
    .map((byte) => byte.toString(16).padStart(2, "0"))
    .join("")
    .replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
};

export const refOf = (resource) => `${resource.resourceType}/${resource.id}`;

/** "DiagnosticReport-open" → {type: "DiagnosticReport", action: "open"}; names compare without case (GEN-03). */
export function eventParts(eventName) {
  const dash = String(eventName ?? "").lastIndexOf("-");
  if (dash < 0) return { type: eventName ?? "", action: "" };
  return { type: eventName.slice(0, dash), action: eventName.slice(dash + 1).toLowerCase() };
}

const sameWord = (a, b) => String(a).toLowerCase() === String(b).toLowerCase();

export const isEvent = (message, name) => sameWord(message.event?.["hub.event"] ?? "", name);

export const versionOf = (event) => event["context.versionId"] ?? event.versionId ?? null;

export const priorVersionOf = (event) =>
  event["context.priorVersionId"] ?? event.priorVersionId ?? null;

export const itemOf = (context, key) => (context ?? []).find((item) => item.key === key);

/** The resource of one type in a context array, e.g. the Patient; null if it is not there. */
export function resourceOf(context, resourceType) {
  const item = (context ?? []).find((each) => each.resource?.resourceType === resourceType);
  return item ? item.resource : null;
}

/** The anchor "Type/id" a context names, by resource or by reference; null if it names none. */
export function anchorOf(context, type) {
  const lower = String(type).toLowerCase();
  const named = Object.keys(ANCHOR_KEYS).find((each) => each.toLowerCase() === lower);
  const item = itemOf(context, named ? ANCHOR_KEYS[named] : lower);
  if (item?.resource?.id) return refOf(item.resource);
  const reference = item?.reference?.reference;
  return typeof reference === "string" && reference.includes("/")
    ? reference.split("/").slice(-2).join("/")
    : null;
}

/** Every reference a select event names; an empty selection gives an empty list (D-09). */
export function selectedRefs(context) {
  return (context ?? [])
    .filter((item) => item.key === "select")
    .flatMap((item) => [item.reference ?? item.resource ?? []].flat())
    .map((each) => (typeof each === "string" ? each : each.reference))
    .filter(Boolean);
}

/** Who fell out, over which event, and why; null when the message is no SyncError. */
export function readSyncError(message) {
  if (!isEvent(message, "SyncError")) return null;
  const outcome = itemOf(message.event.context, "operationoutcome")?.resource;
  const issues = outcome?.issue ?? [];
  const issue = issues.find((each) => each.code === "processing") ?? issues[0];
  const code = (system) =>
    issue?.details?.coding?.find((each) => each.system === SYNCERROR + system)?.code;
  return {
    eventId: code("eventid") ?? "",
    eventName: code("eventname") ?? "",
    name: code("subscribername") ?? code("subscriber") ?? "A subscriber",
    diagnostics: issue?.diagnostics ?? "no reason given",
  };
}

/** A new event notification: unique id, UTC timestamp (EVT-08, EVT-09). */
export function eventMessage(topic, eventName, context, versionId = null) {
  const event = { "hub.topic": topic, "hub.event": eventName, context };
  if (versionId) event["context.versionId"] = versionId;
  return { timestamp: new Date().toISOString(), id: newId(), event };
}

/** The event as its author first sent it: without what the hub has added. */
export function asFirstSent(message) {
  const event = { ...message.event };
  for (const key of [
    "context.versionId",
    "context.priorVersionId",
    "versionId",
    "priorVersionId",
  ]) {
    delete event[key];
  }
  return { timestamp: message.timestamp, id: message.id, event };
}

/** The context array of a close: the same ids as in the open (PROF-02, PROF-07, PROF-10). */
export const closeContext = (context) => context.filter((item) => item.resource);

/** The context array of an update: anchor, patient, and one transaction Bundle (CONT-08, CONT-09). */
export function updateContext(anchor, patientRef, entries) {
  const bundle = { resourceType: "Bundle", id: newId(), type: "transaction", entry: entries };
  const context = [anchorItem(anchor), { key: "updates", resource: bundle }];
  if (patientRef && patientRef !== anchor) {
    context.splice(1, 0, { key: "patient", reference: { reference: patientRef } });
  }
  return context;
}

/** The context array of a select; no references clear the selection (SEL-02, D-09). */
export function selectContext(anchor, refs) {
  const items = refs.length
    ? refs.map((reference) => ({ key: "select", reference: { reference } }))
    : [{ key: "select", reference: [] }];
  return [anchorItem(anchor), ...items];
}

function anchorItem(anchor) {
  const type = anchor.split("/")[0];
  return { key: ANCHOR_KEYS[type] ?? type.toLowerCase(), reference: { reference: anchor } };
}

export const putEntry = (resource) => ({
  fullUrl: refOf(resource),
  request: { method: "PUT", url: refOf(resource) },
  resource,
});

export const deleteEntry = (ref) => ({ fullUrl: ref, request: { method: "DELETE", url: ref } });

/** The context array of a SyncError about an event that was accepted with 202 (SYNC-02 … SYNC-04). */
export function syncErrorContext(failed, name, diagnostics) {
  const coding = [
    { system: `${SYNCERROR}eventid`, code: failed.id },
    { system: `${SYNCERROR}eventname`, code: failed.event["hub.event"] },
    { system: `${SYNCERROR}subscribername`, code: name },
    { system: `${SYNCERROR}subscriber`, code: name },
  ];
  const issue = { severity: "warning", code: "processing", diagnostics, details: { coding } };
  return [
    { key: "operationoutcome", resource: { resourceType: "OperationOutcome", issue: [issue] } },
  ];
}
