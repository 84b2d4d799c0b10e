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

/** Below zero if `a` is older than `b`; NaN if a clock of milliseconds cannot tell. */
function order(a, b) {
  const difference = time(a) - time(b);
  return difference === 0 && a !== b ? NaN : difference;
}

/**
 * One open anchor context.
 * @typedef {object} OpenContext
 * @property {string} anchor "Type/id"
 * @property {Array<object>} context items as supplied in the open
 * @property {object|null} openMessage the open as broadcast; null if known from GET only
 * @property {string|null} openedAt when it was opened; null if that is not known
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
  /** The hub may show another context as current; only a GET can tell. */
  unsure = true;
  /**
   * @type {string|null} when the latest open or Home-open happened; null once its context is closed.
   * It may be later than the hub's, which costs a GET, but never earlier: an open that is late there
   * and not here would show another patient.
   */
  #latestAt = null;
  #openedTypes = new Set();

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
    if (isEvent(message, "Home-open") || action === "open") this.#doubtReplay(step, type);
    if (isEvent(message, "Home-open")) return this.#home(step);
    if (!anchor) return change("other", step, { applied: false });
    if (action === "open") return this.#open(step);
    if (action === "close") return this.#close(step);
    if (action === "update") return this.#update(step);
    if (action === "select") return this.#select(step);
    return change("other", step, { applied: false });
  }

  /** The first open of its type on a connection may be the replay of what is not current (REP-01). */
  #doubtReplay({ anchor }, type) {
    const moves = anchor !== this.currentAnchor;
    if (moves && !this.#openedTypes.has(type)) this.unsure = true;
    this.#openedTypes.add(type);
  }

  /** Older than the latest open: passed over here (EVT-10, D-26), and at the hub unless it differs. */
  #isLate({ timestamp }) {
    const place = this.#latestAt === null ? 0 : order(timestamp, this.#latestAt);
    if (!(place >= 0)) this.unsure = true;
    return place < 0;
  }

  #makeCurrent(anchor, { timestamp }) {
    this.currentAnchor = anchor;
    this.#latestAt = timestamp;
  }

  #home(step) {
    if (this.#isLate(step.message)) return change("home", step, { applied: false, needsRead: true });
    this.#makeCurrent(null, step.message); // contexts stay open (INF-04)
    return change("home", step, { needsRead: this.unsure });
  }

  #open(step) {
    const { message, anchor, context: known } = step;
    if (this.#isLate(message)) return this.#openLate(step);
    const versionId = versionOf(message.event);
    const wasCurrent = this.currentAnchor === anchor;
    this.#makeCurrent(anchor, message);
    if (known?.openMessage?.id === message.id && wasCurrent) {
      // A resend (SYNC-12) or a replay: the context is here, perhaps already further on.
      known.unsure ||= versionId !== known.versionId;
      return change("open", step, { repeated: true, needsRead: known.unsure || this.unsure });
    }
    const prior = priorVersionOf(message.event);
    const context = openedBy(message, anchor, known);
    context.unsure ||= prior !== null && prior !== known?.versionId;
    if (known && prior === null && known.versionId !== versionId) context.unsure = true;
    this.contexts.set(anchor, context);
    return change("open", { ...step, context }, { needsRead: context.unsure || this.unsure });
  }

  /** What is open becomes known, or at another version; nothing else changes. */
  #openLate(step) {
    const { message, anchor, context: known } = step;
    const late = { applied: false, needsRead: true };
    if (!known) {
      // The hub may know it longer than we do, and have content that we do not have.
      const context = { ...openedBy(message, anchor), unsure: true };
      this.contexts.set(anchor, context);
      return change("open", { ...step, context }, late);
    }
    const versionId = versionOf(message.event);
    known.unsure ||= versionId !== known.versionId;
    known.versionId = versionId ?? known.versionId;
    // Newer than its own open: the hub may have counted it, and then we do not know what it keeps.
    if (known.openedAt !== null && !(order(message.timestamp, known.openedAt) <= 0)) {
      known.openedAt = null;
    }
    return change("open", step, late);
  }

  #close(step) {
    const { message, anchor, context } = step;
    if (!context) return change("close", step, { applied: false });
    const wasCurrent = this.currentAnchor === anchor;
    const place = context.openedAt === null ? NaN : order(message.timestamp, context.openedAt);
    if (wasCurrent && !(place >= 0)) this.unsure = true;
    if (place < 0) {
      // Older than the opening we know: it meant an earlier one. Ask the hub rather than guess.
      return change("close", step, { applied: false, needsRead: true });
    }
    this.contexts.delete(anchor);
    if (!wasCurrent) return change("close", step, { wasCurrent });
    this.currentAnchor = null; // no fall back to another one (CTX-04)
    if (!this.unsure) this.#latestAt = null; // and no open is late now (D-26)
    return change("close", step, { wasCurrent, needsRead: this.unsure });
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

  /** A socket is open and confirmed. What was known is kept: a resume tells nothing twice (D-45). */
  connected() {
    this.unsure = true;
    this.#openedTypes.clear();
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
    this.unsure = false;
    if (context?.openedAt && !(order(context.openedAt, this.#latestAt ?? "") <= 0)) {
      this.#latestAt = context.openedAt;
    }
    return change("read", { anchor, context }, { switched: before !== anchor, before });
  }

  #takeCurrent(anchor, answer) {
    const known = this.contexts.get(anchor);
    const bundle = answer.context.find((item) => item.key === "content")?.resource;
    const items = answer.context.filter((item) => item.key !== "content");
    const isKnown = known && JSON.stringify(known.context) === JSON.stringify(items);
    this.contexts.set(anchor, {
      anchor,
      context: items,
      openMessage: known?.openMessage ?? null,
      openedAt: isKnown ? known.openedAt : null, // else it was opened again
      versionId: versionOf(answer),
      content: new Map(
        (bundle?.entry ?? []).map((entry) => [refOf(entry.resource), entry.resource]),
      ),
      selection: known?.selection ?? [],
      unsure: false,
    });
  }
}

/** The context that an open makes; the content of one that is open already goes on (D-11). */
function openedBy(message, anchor, known) {
  return {
    anchor,
    context: message.event.context,
    openMessage: message,
    openedAt: message.timestamp,
    versionId: versionOf(message.event),
    content: known?.content ?? new Map(),
    selection: [],
    unsure: known?.unsure ?? false,
  };
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
