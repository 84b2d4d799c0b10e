// What a user asks of the hub: open, close, update, select. Answers are {ok, words}: the words are
// shown as they are. Retries follow IRA-SUB-08 (requests.js) and CONT-18 (a stale version).

import {
  closeContext,
  eventMessage,
  putEntry,
  refOf,
  resourceOf,
  selectContext,
  syncErrorContext,
  updateContext,
} from "./messages.js";
import { NoAnswer, inWords } from "./requests.js";

const RESEND_EVERY_MS = 10000; // SYNC-12: at least 10 s apart
const OWN_BROADCAST_WITHIN_MS = 3000;
const RESTORE_WITHIN_MS = 600000; // as long as a hub keeps a topic nobody is in (D-40)

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

export class Commands {
  #client;
  #refusal;
  #follower;
  #updates = Promise.resolve();
  #lastOpen = null;
  #resend = null;

  /**
   * @param {HubClient} client
   * @param {(eventName: string) => string} refusal why an event may not be requested, "" if it may
   */
  constructor(client, refusal = () => "") {
    this.#client = client;
    this.#refusal = refusal;
    this.#follower = client.follower;
    client.sync.onChange(() => this.#resendIfRefused());
  }

  /** Open a context, e.g. open("DiagnosticReport-open", [report, patient, study items]). */
  open(eventName, context) {
    const message = eventMessage(this.#client.topic, eventName, context);
    this.#lastOpen = message;
    return this.#send(message);
  }

  /** Close one open context with the ids of its open; a report in the state it has by now. */
  close(anchor) {
    const open = this.#follower.contexts.get(anchor);
    if (!open) return Promise.resolve({ ok: true, words: "" }); // closed already
    const context = closeContext(open.context).map((item) => {
      const newer = open.content.get(refOf(item.resource));
      return newer && refOf(newer) === anchor && newer.status
        ? { ...item, resource: { ...item.resource, status: newer.status } }
        : item;
    });
    return this.#send(eventMessage(this.#client.topic, `${typeOf(anchor)}-close`, context));
  }

  /** Share resources in an open context: one Bundle, one version; ours go out one after the other. */
  update(anchor, entries) {
    const result = this.#updates.then(() => this.#updateNow(anchor, entries));
    this.#updates = result.catch(() => null);
    return result;
  }

  put(anchor, ...resources) {
    return this.update(anchor, resources.map(putEntry));
  }

  /** Select resources by user action; an empty list clears the selection. */
  select(anchor, refs) {
    const context = selectContext(anchor, refs);
    return this.#send(eventMessage(this.#client.topic, `${typeOf(anchor)}-select`, context));
  }

  /** Refuse after a 202: tell the others that this app does not follow (SYNC-11, RAD-156). */
  syncError(failedMessage, diagnostics) {
    const name = this.#client.name;
    const context = syncErrorContext(failedMessage, name, `${name}: ${diagnostics}`);
    return this.#send(eventMessage(this.#client.topic, "SyncError", context));
  }

  /** Send an event once more exactly as its author first sent it (D-28). */
  repeat(message) {
    return this.#send(message);
  }

  /** The hub has lost its memory: open the case again and share its content again (flow J). */
  async restore(before) {
    const { connection } = this.#client.sync;
    if (Date.now() - connection.since > RESTORE_WITHIN_MS) return;
    const type = typeOf(before.anchor);
    if (!this.#refusal(`${type}-open`)) {
      const opened = await this.open(`${type}-open`, before.context);
      if (!opened.ok) return;
    }
    if (before.content.size === 0 || this.#refusal(`${type}-update`)) return;
    await this.#until(() => this.#follower.contexts.has(before.anchor));
    await this.put(before.anchor, ...before.content.values());
  }

  async #updateNow(anchor, entries) {
    for (let attempt = 0; ; attempt += 1) {
      const open = this.#follower.contexts.get(anchor);
      if (!open) return { ok: false, words: "This case is not open at the hub any more" };
      const version = open.versionId;
      const patient = resourceOf(open.context, "Patient");
      const context = updateContext(anchor, patient && refOf(patient), entries);
      const name = `${typeOf(anchor)}-update`;
      const result = await this.#send(eventMessage(this.#client.topic, name, context, version));
      const stale =
        result.status === 409 || (result.status === 400 && /version/i.test(result.words));
      if (stale && attempt === 0) {
        await this.#client.read().catch(() => null);
        continue; // once, with a new id and the version just read
      }
      if (result.ok) await this.#until(() => open.versionId !== version);
      return result;
    }
  }

  async #send(message) {
    const refusal = this.#refusal(message.event["hub.event"]);
    if (refusal) return { ok: false, status: 403, message, words: refusal };
    try {
      const answer = await this.#client.requests.post(message);
      const { ok, status } = answer;
      return { ok, status, message, words: ok ? "" : inWords(answer) };
    } catch (error) {
      if (!(error instanceof NoAnswer)) throw error;
      return { ok: false, status: 0, message, words: "The hub does not answer" };
    }
  }

  #until(condition) {
    const end = Date.now() + OWN_BROADCAST_WITHIN_MS;
    const step = async () => {
      while (!condition() && Date.now() < end) await pause(20);
    };
    return step();
  }

  /** SYNC-12: our open met a SyncError: send it again until in sync or until it is history. */
  #resendIfRefused() {
    if (this.#resend !== null || !this.#refused()) return;
    this.#resend = setTimeout(async () => {
      if (this.#refused()) await this.#send(this.#lastOpen);
      this.#resend = null;
      this.#resendIfRefused();
    }, RESEND_EVERY_MS);
  }

  #refused() {
    const id = this.#lastOpen?.id;
    const failures = [...this.#client.sync.failures.values()];
    const current = this.#follower.current?.openMessage?.id === id;
    return current && failures.some((failure) => failure.eventId === id);
  }
}

const typeOf = (anchor) => anchor.split("/")[0];
