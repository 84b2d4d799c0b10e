// HubClient: one subscription to a FHIRcast hub, kept alive from a browser page.
// subscribe → socket → confirmation → replay → GET → live; and again after every loss.
// Spec: 2.4 Subscribing, 2.5 Event Notification. No dependency; works with any FHIRcast 3.0.0 hub.

import { HubRequests, NoAnswer, NotAuthorized, inWords } from "./requests.js";
import { readSyncError } from "./messages.js";

const LEASE_SECONDS = 3600;
const RENEW_AT = 0.75; // of the granted lease (CONF-04)
const CONFIRM_WITHIN_MS = 5000;
const REPLAY_SETTLES_MS = 120;
const ACK_WITHIN_MS = 8000; // below the 10 s of SYNC-08: 202 is better than silence
const CHECK_EVERY_MS = 15000;
const READ_AGAIN_MS = 300; // after an answer that broadcasts overtook, or none
const RECENT_EVENTS = 50;
const BACKOFF_MS = { first: 300, most: 5000 };

/** The subscription is over by the hub's word; only the user or fresh credentials start a new one. */
class Ended extends Error {}

export class HubClient {
  #socket = null;
  #endpoint = null;
  #events;
  #storage;
  #storageKey;
  #WebSocket;
  #onChange;
  #wake = () => {};
  #timers = new Map();
  #notifications = 0;
  #stopped = false;
  #forgotten = null;
  #recent = new Map();

  /**
   * @param {object} options hubUrl, topic, name, events (array), getToken(refused) → token, not
   *   the refused one (or it throws NotAuthorized),
   *   follower (Follower), sync (SyncState), onChange(change) → ack status (or a promise of it),
   *   restore(context): called when the hub has lost its memory and nothing is open any more;
   *   storage, fetch and WebSocket may be given for tests.
   */
  constructor(options) {
    this.requests = new HubRequests(options);
    this.topic = options.topic;
    this.name = options.name;
    this.follower = options.follower;
    this.sync = options.sync;
    this.restore = options.restore ?? (async () => {});
    this.#events = options.events;
    this.#onChange = options.onChange;
    this.#storage = options.storage ?? globalThis.sessionStorage;
    this.#storageKey = `fhircast.endpoint.${options.name}.${options.topic}`;
    this.#WebSocket = options.WebSocket ?? globalThis.WebSocket;
  }

  start() {
    this.#endpoint = this.#storage?.getItem(this.#storageKey) ?? null;
    globalThis.addEventListener?.("online", () => this.#hurry());
    // Browsers slow the timers of hidden pages down: whoever looks at the page must not wait for one.
    globalThis.document?.addEventListener("visibilitychange", () => this.#hurry());
    globalThis.addEventListener?.("offline", () => {
      this.sync.setConnection("lost", "This computer is offline");
      this.#socket?.close(1000);
    });
    this.#run();
  }

  /** Try again now: for a button of the user; it also begins anew what the hub has ended. */
  reconnect() {
    this.#wake();
  }

  /** Try again now if this is a mere pause between two attempts. */
  #hurry() {
    if (this.sync.connection.state === "lost") this.#wake();
  }

  /** Leave for good: unsubscribe, then close with 1000 (UNS-06). */
  async leave() {
    this.#stopped = true;
    const endpoint = this.#endpoint;
    this.#keepEndpoint(null);
    if (endpoint) {
      await this.requests.form(this.#form("unsubscribe", endpoint)).catch(() => null);
    }
    this.#socket?.close(1000);
    this.#clearTimers();
    this.sync.setConnection("ended", "You have left the session");
  }

  /** Re-read the current context and its content (CONT-18). False if the hub did not answer well. */
  async read() {
    for (let attempt = 0; attempt < 3; attempt += 1) {
      const before = this.#notifications;
      const answer = await this.requests.currentContext();
      if (!answer.ok && answer.status !== 404) return false;
      if (before !== this.#notifications) continue; // overtaken by a broadcast: ask again
      const change = this.follower.replace(answer.status === 404 ? null : answer.json);
      this.sync.setUnsure(this.follower.unsure);
      this.#onChange(change);
      return true;
    }
    this.#after("read", READ_AGAIN_MS, () => this.#readUntilTaken());
    return true;
  }

  /** Read until an answer can be taken in; the regular check ends a connection that gives none. */
  async #readUntilTaken() {
    const well = await this.read().catch(() => false);
    if (!well && this.#socket) this.#after("read", READ_AGAIN_MS, () => this.#readUntilTaken());
  }

  // ------------------------------------------------------------------ life of the subscription

  async #run() {
    for (let failures = 0; !this.#stopped;) {
      try {
        const endpoint = await this.#subscribed();
        const end = await this.#connected(endpoint);
        if (this.#stopped) return;
        if (end.wasLive) failures = 0;
        this.sync.setConnection("lost", end.reason);
      } catch (error) {
        if (this.#stopped) return;
        if (error instanceof Ended || error instanceof NotAuthorized) {
          this.#keepEndpoint(null);
          this.sync.setConnection("ended", error.message);
          await new Promise((done) => (this.#wake = done));
          this.sync.setConnection("connecting");
          failures = 0;
          continue;
        }
        const gone = error instanceof NoAnswer;
        if (!gone) console.error("FHIRcast subscription", error);
        this.sync.setConnection("lost", gone ? "Hub not reachable" : error.message);
      }
      const wait = Math.min(BACKOFF_MS.most, BACKOFF_MS.first * 2 ** failures);
      failures += 1;
      await this.#pause(wait * (0.5 + Math.random() / 2));
    }
  }

  /** An endpoint that is good to connect to: the one we had if the hub still knows it, or a new one. */
  async #subscribed() {
    if (this.#endpoint) {
      const answer = await this.requests.form(this.#form("subscribe", this.#endpoint));
      if (answer.ok) return answer.json["hub.channel.endpoint"];
      if (answer.status >= 500 || answer.status === 429) throw new Error(inWords(answer));
      this.#keepEndpoint(null); // ended or forgotten: never connect to it again
    }
    // A hub that does not know our topic has lost its memory: what was open must be opened anew.
    if (this.follower.current) {
      const probe = await this.requests.currentContext();
      if (probe.status === 404) this.#forgotten ??= this.follower.current;
    }
    this.follower.beginJoin();
    const answer = await this.requests.form(this.#form("subscribe"));
    if (answer.status >= 500 || answer.status === 429) throw new Error(inWords(answer));
    if (!answer.ok) throw new Ended(`The hub refused the subscription: ${inWords(answer)}`);
    this.#keepEndpoint(answer.json["hub.channel.endpoint"]);
    return this.#endpoint;
  }

  #form(mode, endpoint = null) {
    const fields = {
      "hub.channel.type": "websocket",
      "hub.mode": mode,
      "hub.topic": this.topic,
      "hub.events": this.#events.join(","),
      "hub.lease_seconds": String(LEASE_SECONDS),
      "subscriber.name": this.name,
    };
    if (mode === "unsubscribe") delete fields["hub.lease_seconds"];
    if (endpoint) fields["hub.channel.endpoint"] = endpoint;
    return fields;
  }

  /** Resolves when the socket is gone: {wasLive, reason}; rejects with Ended after a denial. */
  #connected(endpoint) {
    return new Promise((resolve, reject) => {
      const socket = new this.#WebSocket(endpoint);
      const life = { socket, confirmed: false, denial: null };
      this.#socket = socket;
      this.#after("confirm", CONFIRM_WITHIN_MS, () => socket.close(4000));
      socket.onmessage = (frame) => this.#frame(life, frame.data);
      socket.onclose = ({ code, reason }) => {
        this.#clearTimers();
        this.#socket = null;
        if (life.denial === null) {
          const replaced = code === 1008;
          const words = reason || "the subscription was taken over by another window";
          if (replaced) reject(new Ended(`The hub closed the connection: ${words}`));
          else resolve({ wasLive: life.confirmed, reason: "Hub not reachable" });
          return;
        }
        this.#keepEndpoint(null); // CONF-07: this endpoint is not connected to again
        const lostMemory = !life.confirmed || code === 1001;
        if (lostMemory) resolve({ wasLive: false, reason: "The hub has restarted" });
        else reject(new Ended(life.denial));
      };
    });
  }

  #frame(life, text) {
    let message;
    try {
      message = JSON.parse(text);
    } catch {
      return; // not ours to repair; the hub logs what it sends
    }
    if (message["hub.mode"] === "subscribe") this.#confirmed(life, message);
    else if (message["hub.mode"] === "denied")
      life.denial = message["hub.reason"] || "no reason given";
    else if (message.event) this.#notified(life, message);
  }

  #confirmed(life, confirmation) {
    this.#cancel("confirm");
    const lease = Number(confirmation["hub.lease_seconds"]) || LEASE_SECONDS;
    this.#after("lease", lease * RENEW_AT * 1000, () => this.#renew(life));
    if (life.confirmed) return; // answer to a renewal
    life.confirmed = true;
    this.follower.connected();
    this.#after("join", REPLAY_SETTLES_MS, () => this.#join(life));
  }

  async #join(life) {
    try {
      if (!(await this.read())) throw new Error("current context not readable");
    } catch {
      life.socket.close(4000); // start over, with back-off
      return;
    }
    if (life.socket !== this.#socket) return;
    this.sync.setConnection("live");
    this.#after("check", CHECK_EVERY_MS, () => this.#check(life, 0));
    const forgotten = this.#forgotten;
    this.#forgotten = null;
    if (forgotten && !this.follower.current) await this.restore(forgotten);
  }

  async #renew(life) {
    const answer = await this.requests
      .form(this.#form("subscribe", this.#endpoint))
      .catch(() => null);
    if (life.socket !== this.#socket || answer?.ok) return; // a new confirmation sets the next date
    if (answer && answer.status < 500 && answer.status !== 429) life.socket.close(4000);
    else this.#after("lease", 5000, () => this.#renew(life));
  }

  /** A browser cannot ping. A regular GET notices a hub that hangs and an event that was missed. */
  async #check(life, misses) {
    const well = await this.read().catch(() => false);
    if (life.socket !== this.#socket) return;
    if (!well && misses >= 1) life.socket.close(4000);
    else this.#after("check", well ? CHECK_EVERY_MS : 1000, () => this.#check(life, well ? 0 : 1));
  }

  // ------------------------------------------------------------------------------ notifications

  #notified(life, message) {
    this.#notifications += 1;
    const change = this.follower.apply(message);
    this.sync.setUnsure(this.follower.unsure);
    if (change.kind === "syncerror") this.#fallenOut(message);
    else if (change.anchor || change.kind === "home") this.#remember(change);
    let status;
    try {
      status = this.#onChange(change);
    } catch (error) {
      console.error("FHIRcast handler", error);
      status = 500;
    }
    this.#acknowledge(life.socket, message.id, status);
    const isLive = this.sync.connection.state === "live"; // until then the join reads anyway
    if (change.needsRead && isLive) this.#readUntilTaken();
  }

  #fallenOut(message) {
    const failure = readSyncError(message);
    const context = this.#recent.get(failure.eventId) ?? null;
    const anchor = context?.anchor ?? null;
    this.sync.fail({ ...failure, context, anchor, self: failure.name === this.name });
  }

  /** A later SyncError names only the id of the event: keep whose it was. */
  #remember(change) {
    this.#recent.set(change.message.id, change.context);
    if (this.#recent.size > RECENT_EVENTS) this.#recent.delete(this.#recent.keys().next().value);
    this.sync.followed(change);
  }

  /** Every notification is answered, once, with a status in words of the standard (ACK-01). */
  async #acknowledge(socket, id, status) {
    const late = new Promise((done) => setTimeout(done, ACK_WITHIN_MS, 202));
    const settled = await Promise.race([Promise.resolve(status).catch(() => 500), late]);
    if (socket.readyState === 1)
      socket.send(JSON.stringify({ id, status: String(settled ?? 200) }));
  }

  // -------------------------------------------------------------------------------------- helpers

  #keepEndpoint(endpoint) {
    this.#endpoint = endpoint;
    if (endpoint) this.#storage?.setItem(this.#storageKey, endpoint);
    else this.#storage?.removeItem(this.#storageKey);
  }

  #pause(ms) {
    return new Promise((done) => {
      this.#wake = done;
      setTimeout(done, ms);
    });
  }

  #after(name, ms, action) {
    this.#cancel(name);
    this.#timers.set(name, setTimeout(action, ms));
  }

  #cancel(name) {
    clearTimeout(this.#timers.get(name));
    this.#timers.delete(name);
  }

  #clearTimers() {
    for (const name of [...this.#timers.keys()]) this.#cancel(name);
  }
}
