// What every page does first: take the launch values, join the session, show the header.

import { Chrome } from "./chrome.js";
import { Commands } from "./commands.js";
import { FhirClient } from "./fhir.js";
import { Follower } from "./follower.js";
import { HubClient } from "./hub.js";
import { asFirstSent } from "./messages.js";
import { SyncState } from "./sync.js";

/** All apps subscribe to the same set, so that the hub need not translate for any of them. */
export const EVENTS = [
  "DiagnosticReport-open",
  "DiagnosticReport-close",
  "DiagnosticReport-update",
  "DiagnosticReport-select",
  "ImagingStudy-open",
  "ImagingStudy-close",
  "Patient-open",
  "Patient-close",
  "Home-open",
  "UserLogout",
  "SyncError",
];

const LAUNCH_TIMEOUT_MS = 5000;

/** The launch values; stands in the place of the SMART launch. */
export async function launchValues(app) {
  const options = { cache: "no-store", signal: AbortSignal.timeout(LAUNCH_TIMEOUT_MS) };
  const response = await fetch(app ? `/launch/${app}` : "/launch", options);
  if (!response.ok) throw new Error(`launch answered ${response.status}`);
  return response.json();
}

export class Session {
  /**
   * @param {object} page app ("viewer"), title, onChange(change) → ack status,
   *   shown() → the open context on screen, extra() → banners of the page itself,
   *   started(session): the launch values are there.
   */
  constructor(page) {
    this.page = page;
    this.follower = new Follower();
    this.sync = new SyncState();
    this.chrome = new Chrome(document.querySelector("#app"), page.title);
    this.sync.onChange(() => this.render());
    this.client = null;
    this.launch = null;
  }

  async start() {
    this.render();
    while (this.launch === null) {
      try {
        this.launch = await launchValues(this.page.app);
      } catch {
        this.sync.setConnection("lost", "Demo server not reachable");
        await new Promise((done) => setTimeout(done, 1500));
      }
    }
    const { launch } = this;
    this.sync.setConnection("connecting");
    this.fhir = new FhirClient(
      launch.fhirBaseUrl ?? "/fhir",
      async () => this.launch.access_token ?? "",
    );
    this.client = new HubClient({
      hubUrl: launch["hub.url"],
      topic: launch["hub.topic"],
      name: launch["subscriber.name"],
      events: EVENTS,
      follower: this.follower,
      sync: this.sync,
      getToken: (fresh) => this.#tokenFor(fresh),
      onChange: (change) => this.#changed(change),
      restore: (context) => this.commands.restore(context),
    });
    this.commands = new Commands(this.client);
    this.page.started?.(this);
    this.client.start();
  }

  get current() {
    return this.follower.current;
  }

  render() {
    this.chrome.render({
      app: this.page.title,
      shown: this.page.shown(),
      sync: this.sync,
      extra: this.page.extra?.() ?? [],
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
    if (message) this.commands.repeat(asFirstSent(message)).catch(() => null);
  }

  #changed(change) {
    try {
      return this.page.onChange(change) ?? 200;
    } finally {
      this.render();
    }
  }

  async #tokenFor(fresh) {
    if (fresh) this.launch = await launchValues(this.page.app).catch(() => this.launch);
    return this.launch.access_token ?? "";
  }
}
