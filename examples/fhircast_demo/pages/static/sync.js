// SyncState: is this app in sync with the others, and if not: who fell out, why, since when.
// Rules of SYNC-13; timers and clock can be given, so that it can be tested without waiting.

/** How long a resent or a newer event must stay unrefused before a flag is taken down. */
const SETTLE_MS = 1500;

const realTimers = {
  now: () => Date.now(),
  set: (fn, ms) => setTimeout(fn, ms),
  clear: (id) => clearTimeout(id),
};

export class SyncState {
  /** @type {{state: "connecting"|"live"|"lost"|"ended", since: number, reason: string}} */
  connection = { state: "connecting", since: 0, reason: "" };
  /** Failing subscribers, by name: one flag each, the newest. @type {Map<string, object>} */
  failures = new Map();
  /** Another context may be current at the hub; it is being asked. */
  unsure = false;
  #listeners = new Set();
  #seenAt = new Map();
  #timers;

  constructor(timers = realTimers) {
    this.#timers = timers;
    this.connection.since = timers.now();
  }

  onChange(listener) {
    this.#listeners.add(listener);
  }

  changed() {
    for (const listener of this.#listeners) listener(this);
  }

  setConnection(state, reason = "") {
    const same = this.connection.state === state;
    const since = same ? this.connection.since : this.#timers.now();
    this.connection = { state, reason, since };
    this.changed();
  }

  setUnsure(unsure) {
    if (this.unsure === unsure) return;
    this.unsure = unsure;
    this.changed();
  }

  /** A SyncError said that a subscriber does not follow an event. */
  fail(failure) {
    this.#keep(this.failures.get(failure.name));
    const seen = this.#seenAt.get(failure.eventId);
    const delay = seen === undefined ? 0 : this.#timers.now() - seen;
    this.failures.set(failure.name, { ...failure, since: this.#timers.now(), delay, timer: null });
    this.changed();
  }

  /**
   * A context event was broadcast. It takes down the flags it can answer for, unless a new
   * SyncError arrives first: those about this very event (a resend), and, if it is a new open or a
   * close of what had been refused, the older ones. A lost peer is answered by any later event.
   */
  followed(change) {
    const { id } = change.message;
    this.#seenAt.set(id, this.#timers.now());
    if (this.#seenAt.size > 50) this.#seenAt.delete(this.#seenAt.keys().next().value);
    for (const failure of this.failures.values()) {
      if (failure.timer === null && answers(change, failure)) {
        const wait = SETTLE_MS + failure.delay; // a mute peer is noticed late: wait as long again
        failure.timer = this.#timers.set(() => this.dismiss(failure.name), wait);
      }
    }
  }

  dismiss(name) {
    this.#keep(this.failures.get(name));
    if (this.failures.delete(name)) this.changed();
  }

  clearFailures() {
    for (const name of [...this.failures.keys()]) this.dismiss(name);
  }

  #keep(failure) {
    if (failure?.timer != null) this.#timers.clear(failure.timer);
  }
}

function answers(change, failure) {
  if (change.message.id === failure.eventId) return true;
  if (change.kind === "open" || change.kind === "home") return change.applied && !change.repeated;
  if (failure.eventName.toLowerCase() === "syncerror") return true;
  return change.kind === "close" && change.anchor !== null && change.anchor === failure.anchor;
}
