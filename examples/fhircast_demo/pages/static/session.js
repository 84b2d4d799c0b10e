// What every page does first: launch by SMART, join the session, show the header.

import { APPS, EVENTS, scopesOf } from "./apps.js";
import { Chrome } from "./chrome.js";
import { Commands } from "./commands.js";
import { FhirClient } from "./fhir.js";
import { Follower } from "./follower.js";
import { HubClient } from "./hub.js";
import { asFirstSent } from "./messages.js";
import { Problem, mayNotText, noFollowing, noSession } from "./problems.js";
import { NotAuthorized } from "./requests.js";
import { Scopes, readScope, writeScope } from "./scopes.js";
import { SmartClient } from "./smart.js";
import { SyncState } from "./sync.js";

const RETRY_MS = 1500;
const WATCH_MS = 10000;

export class Session {
  /** What keeps this page out of the session, or null. @type {Problem|null} */
  problem = null;
  #scopes = new Scopes("");
  #address = location.href;
  #toldMissing = true;

  /**
   * @param {object} page app ("viewer"), onChange(change) → ack status,
   *   shown() → the open context on screen, extra() → banners of the page itself,
   *   started(session): the launch has succeeded; stopped(session): there is a problem.
   */
  constructor(page) {
    this.page = page;
    this.app = APPS[page.app];
    this.follower = new Follower();
    this.sync = new SyncState();
    this.chrome = new Chrome(document.querySelector("#app"), this.app.title);
    this.sync.onChange(() => this.render());
    this.client = null;
    this.smart = new SmartClient({
      clientId: this.app.clientId,
      redirectUri: location.origin + location.pathname,
      scopes: scopesOf(page.app),
      servers: [`${location.origin}/fhir`],
      ended: (message) => this.#stop(Problem.ended(message)),
    });
    this.get = (url, options) => this.smart.fetch(url, options);
    this.dicomweb = `${location.origin}/dicomweb`; // the demo's images are beside its pages
  }

  async start() {
    this.render();
    if (!(await this.#launch())) return;
    const { grant } = this.smart;
    this.#scopes = new Scopes(grant.scope);
    this.#toldMissing = false;
    this.fhir = new FhirClient(grant.iss, this.get);
    const events = EVENTS.filter((event) => this.#scopes.cover(readScope(event)));
    if (grant.hubUrl && grant.topic && events.length) this.#join(grant, events);
    else this.#stop(this.#scopes.fhircast ? noFollowing() : noSession());
    this.page.started?.(this);
    this.render();
    this.#watch(grant.iss);
  }

  get current() {
    return this.follower.current;
  }

  /** Why this application may not do something that APPS names: words for the user, "" if it may. */
  mayNot(what) {
    const missing = this.smart.grant ? this.#scopes.missing(this.app.needs[what]) : [];
    return missing.length ? mayNotText([[what, missing]]) : "";
  }

  render() {
    this.chrome.render({
      app: this.app.title,
      shown: this.page.shown(),
      sync: this.sync,
      problem: this.problem,
      extra: [...(this.page.extra?.() ?? []), ...this.#missingBanner()],
      actions: { render: () => this.render(), reconnect: () => this.client?.reconnect() },
    });
  }

  /** Tell the user how an action went; true if it went well. */
  report(result, failedWords) {
    this.chrome.notice(result.ok ? "" : `${failedWords}: ${result.words}`);
    this.render();
    return result.ok;
  }

  notice(text, kind) {
    this.chrome.notice(text, kind);
    this.render();
  }

  /**
   * This app now follows what it had refused: send that event again exactly as it was first sent,
   * so that the hub asks everyone once more and the flags come down. Best effort (D-28).
   */
  repeatEvent(message) {
    if (message) this.commands?.repeat(asFirstSent(message)).catch(() => null);
  }

  /** UserLogout: leave, and keep nothing that would let this page back in. */
  async logOut() {
    const { client } = this;
    await client?.leave();
    this.smart.forget();
    this.#stop(Problem.loggedOut());
  }

  // ------------------------------------------------------------------------------ the launch

  /** True once there is a grant; false if the browser leaves the page or the launch has failed. */
  async #launch() {
    const how = {
      standalone: window.top === window, // in a frame the EHR launches; its sign-in shows in none
      clean: (href) => history.replaceState(null, "", href),
    };
    for (;;) {
      try {
        const next = await this.smart.begin(this.#address, how);
        if (next) location.replace(next);
        else this.sync.setConnection("connecting");
        return !next;
      } catch (error) {
        if (error.kind !== "unreachable") {
          if (!error.kind) console.error("launch", error);
          this.#stop(Problem.of(error));
          return false;
        }
        this.sync.setConnection("lost", error.message);
        await new Promise((done) => setTimeout(done, RETRY_MS));
      }
    }
  }

  /** Is the sign-in still good? The hub need not know that somebody has signed out at the EHR. */
  #watch(iss) {
    const readable = Object.values(this.app.needs).flat().find((scope) => this.#mayRead(scope));
    if (!readable) return;
    const [, type] = /^user\/(\w+)/.exec(readable);
    const look = () => this.smart.grant && this.get(`${iss}/${type}?_count=1`).catch(() => null);
    setInterval(look, WATCH_MS);
    document.addEventListener("visibilitychange", look);
  }

  #mayRead(scope) {
    return /^user\/\w+\.rs$/.test(scope) && this.#scopes.cover(scope);
  }

  #join({ hubUrl, topic }, events) {
    this.client = new HubClient({
      hubUrl,
      topic,
      name: this.app.name,
      events,
      follower: this.follower,
      sync: this.sync,
      getToken: (refused) => this.#token(refused),
      onChange: (change) => this.#changed(change),
      restore: (context) => this.commands.restore(context),
    });
    this.commands = new Commands(this.client, (event) => this.#refusal(event));
    this.client.start();
  }

  #refusal(event) {
    const missing = this.#scopes.missing([writeScope(event)]);
    return missing.length ? mayNotText([[`request ${event}`, missing]]) : "";
  }

  async #token(refused) {
    try {
      return await this.smart.token(refused);
    } catch (error) {
      if (error.kind === "unreachable") throw error;
      throw new NotAuthorized(error.message, { cause: error });
    }
  }

  #stop(problem) {
    if (this.problem) return; // the first one is the reason
    this.problem = problem;
    this.client?.leave();
    this.page.stopped?.(this);
    this.render();
  }

  #missingBanner() {
    if (this.#toldMissing || this.problem) return [];
    const missing = Object.entries(this.app.needs)
      .map(([what, scopes]) => [what, this.#scopes.missing(scopes)])
      .filter(([, scopes]) => scopes.length);
    if (!missing.length) return [];
    const dismissed = () => (this.#toldMissing = true);
    return [
      { key: "scopes", kind: "warn", title: mayNotText(missing), dismiss: true, dismissed },
    ];
  }

  #changed(change) {
    try {
      return this.page.onChange(change) ?? 200;
    } finally {
      this.render();
    }
  }
}
