// Follower: a replica of what the hub has open. Pure: messages in, changes out; no clock, no I/O.
// It follows the hub even where the app on top of it refuses, so that the app can say what the
// others show. Spec: 2.5 Event Notification, 2.9 Get Current Context, 2.10 Content Sharing.

import {
  anchorOf,
  eventParts,
  isEvent,
  priorVersionOf,
  readSyncError,
  refOf,
  selectedRefs,
  versionOf,
} from "./messages.js";

const time = (timestamp) => Date.parse(timestamp) || 0;

/**
 * One open anchor context.
 * @typedef {object} OpenContext
 * @property {string} anchor "Type/id"
 * @property {Array<object>} context items as supplied in the open
 * @property {object|null} openMessage the open as broadcast; null if known from GET only
 * @property {string|null} openedAt timestamp of that open
 * @property {string|null} versionId newest known version
 * @property {Map<string, object>} content resources shared so far, by "Type/id"
 * @property {string[]} selection references of the last select
 * @property {boolean} unsure the content may lack something; a GET repairs it
 */

export class Follower {
  /** @type {Map<string, OpenContext>} */
  contexts = new Map();
  /** @type {string|null} anchor of the current context */
  currentAnchor = null;

  get current() {
    return this.contexts.get(this.currentAnchor) ?? null;
  }

  /**
   * Take one notification in.
   * Returns {kind, anchor, context, message, applied, repeated, needsRead}: `applied` is false for
   * what is out of order or already known, `needsRead` asks for a GET of the current context.
   */
  apply(message) {
    const event = message.event ?? {};
    const { type, action } = eventParts(event["hub.event"]);
    const anchor = anchorOf(event.context, type);
    const step = { message, anchor, context: this.contexts.get(anchor) ?? null };
    if (isEvent(message, "SyncError")) return change("syncerror", step, readSyncError(message));
    if (isEvent(message, "UserLogout")) return change("logout", step);
    if (isEvent(message, "Home-open")) return this.#home(step);
    if (!anchor) return change("other", step, { applied: false });
    if (action === "open") return this.#open(step);
    if (action === "close") return this.#close(step);
    if (action === "update") return this.#update(step);
    if (action === "select") return this.#select(step);
    return change("other", step, { applied: false });
  }

  #home(step) {
    this.currentAnchor = null; // contexts stay open (INF-04)
    return change("home", step);
  }

  #open(step) {
    const { message, anchor, context: known } = step;
    const versionId = versionOf(message.event);
    if (known?.openMessage?.id === message.id && this.currentAnchor === anchor) {
      // A resend (SYNC-12) or a replay: the context is here, perhaps already further on.
      known.unsure ||= versionId !== known.versionId;
      return change("open", step, { repeated: true, needsRead: known.unsure });
    }
    const current = this.current;
    if (current?.openedAt && time(message.timestamp) < time(current.openedAt)) {
      return change("open", step, { applied: false }); // EVT-10, D-26
    }
    const prior = priorVersionOf(message.event);
    const context = {
      anchor,
      context: message.event.context,
      openMessage: message,
      openedAt: message.timestamp,
      versionId,
      content: known?.content ?? new Map(),
      selection: [],
      unsure: (known?.unsure ?? false) || (prior !== null && prior !== known?.versionId),
    };
    if (known && prior === null && known.versionId !== versionId) context.unsure = true;
    this.contexts.set(anchor, context);
    this.currentAnchor = anchor;
    return change("open", { ...step, context }, { needsRead: context.unsure });
  }

  #close(step) {
    const { message, anchor, context } = step;
    if (!context) return change("close", step, { applied: false });
    if (context.openedAt && time(message.timestamp) < time(context.openedAt)) {
      // Older than the opening we know: it meant an earlier one. Ask the hub rather than guess.
      return change("close", step, { applied: false, needsRead: true });
    }
    this.contexts.delete(anchor);
    const wasCurrent = this.currentAnchor === anchor;
    if (wasCurrent) this.currentAnchor = null; // no fall back to another one (CTX-04)
    return change("close", step, { wasCurrent });
  }

  #update(step) {
    const { message, anchor, context } = step;
    if (!context) return change("update", step, { applied: false, needsRead: true });
    const versionId = versionOf(message.event);
    if (versionId !== null && versionId === context.versionId) {
      return change("update", step, { applied: false }); // already in the last GET
    }
    const bundle = message.event.context.find((item) => item.key === "updates")?.resource;
    const changed = applyEntries(context.content, bundle?.entry ?? []);
    if (priorVersionOf(message.event) !== context.versionId) context.unsure = true; // CONT-18
    context.versionId = versionId ?? context.versionId;
    const needsRead = context.unsure && anchor === this.currentAnchor;
    return change("update", step, { changed, needsRead });
  }

  #select(step) {
    if (!step.context) return change("select", step, { applied: false });
    step.context.selection = selectedRefs(step.message.event.context);
    return change("select", step);
  }

  /** A new subscription begins: what neither replay nor GET confirms is gone at `replace`. */
  beginJoin() {
    for (const context of this.contexts.values()) context.unconfirmed = true;
  }

  /**
   * Take in the answer of GET {hub.url}/{topic} (null: the hub does not know the topic).
   * It replaces the content set and decides the current context (IRA-SUB-07, CTX-04).
   */
  replace(answer) {
    const before = this.currentAnchor;
    const type = answer?.["context.type"] ?? "";
    const anchor = type ? anchorOf(answer.context, type) : null;
    if (anchor) this.#takeCurrent(anchor, answer);
    this.currentAnchor = anchor;
    for (const [key, context] of this.contexts) {
      if (context.unconfirmed && key !== anchor) this.contexts.delete(key);
    }
    if (answer === null) this.contexts.clear();
    const context = this.current;
    return change("read", { anchor, context }, { switched: before !== anchor, before });
  }

  #takeCurrent(anchor, answer) {
    const known = this.contexts.get(anchor);
    const bundle = answer.context.find((item) => item.key === "content")?.resource;
    this.contexts.set(anchor, {
      anchor,
      context: answer.context.filter((item) => item.key !== "content"),
      openMessage: known?.openMessage ?? null,
      openedAt: known?.openedAt ?? null,
      versionId: versionOf(answer),
      content: new Map(
        (bundle?.entry ?? []).map((entry) => [refOf(entry.resource), entry.resource]),
      ),
      selection: known?.selection ?? [],
      unsure: false,
    });
  }
}

function change(kind, step, more = {}) {
  return { kind, applied: true, repeated: false, needsRead: false, ...step, ...more };
}

/** Apply PUT, DELETE and POST-with-id entries to the content; returns the references touched. */
export function applyEntries(content, entries) {
  const touched = [];
  for (const entry of entries) {
    const method = (entry.request?.method ?? "PUT").toUpperCase();
    if (method === "DELETE") {
      const ref = String(entry.fullUrl ?? entry.request?.url ?? "")
        .split("/")
        .slice(-2)
        .join("/");
      content.delete(ref);
      touched.push(ref);
    } else if (entry.resource?.id) {
      content.set(refOf(entry.resource), entry.resource); // whole, never merged (CONT-10)
      touched.push(refOf(entry.resource));
    }
  }
  return touched;
}
