// The header every page has: whose data this is, since when, and whether all apps agree on it.

import { copyable, h, setText } from "./dom.js";
import { eventParts } from "./messages.js";
import { caseOf, clockText, dateText, momentText } from "./resources.js";

const LABELS = {
  "in-sync": "In sync",
  connecting: "Connecting…",
  checking: "Checking…",
  lost: "Not in sync",
  out: "Not in the session",
};

export class Chrome {
  #parts = {};
  #notice = null;
  #bannerKey = "";

  constructor(root, appName) {
    const parts = this.#parts;
    parts.name = h("span", { class: "patient-name", "data-testid": "patient-name" });
    parts.mrn = copyable("patient-id", "patient identifier");
    parts.birth = h("span", { "data-testid": "birth-date" });
    parts.accession = copyable("accession", "accession number");
    parts.since = h("span", { "data-testid": "open-since" });
    parts.sync = h("div", { class: "sync", role: "status", "data-testid": "sync-state" });
    parts.banner = h("div", {
      class: "banners",
      role: "alert",
      "data-testid": "banner",
      hidden: true,
    });
    parts.patient = h(
      "div",
      { class: "patient", "data-testid": "patient" },
      parts.name,
      h(
        "dl",
        { class: "facts" },
        fact("ID", parts.mrn),
        fact("Born", parts.birth),
        fact("Accession", parts.accession),
        fact("Open since", parts.since),
      ),
    );
    parts.empty = h("div", { class: "patient none", "data-testid": "no-case" }, "No case open");
    const bar = h(
      "header",
      { class: "bar" },
      h("h1", { class: "app" }, appName),
      h("div", { class: "who" }, parts.patient, parts.empty),
      parts.sync,
    );
    root.prepend(bar, parts.banner);
  }

  /** A message about an action of this user; stays until dismissed or replaced. */
  notice(text, kind = "bad") {
    this.#notice = text ? { key: "notice", kind, title: text, dismiss: true } : null;
  }

  /**
   * @param {{shown: object|null, sync: import("./sync.js").SyncState, actions: object,
   *   problem: import("./problems.js").Problem|null, extra: object[]}} view `shown` is an open
   *   context, `problem` what keeps this page out of the session.
   */
  render(view) {
    const parts = this.#parts;
    const { shown } = view;
    const facts = caseOf(shown?.context);
    parts.patient.hidden = !shown;
    parts.empty.hidden = Boolean(shown);
    setText(parts.name, shown ? facts.name || "Name not available" : "");
    setText(parts.mrn, facts.mrn);
    setText(parts.birth, facts.birthDate ? dateText(facts.birthDate) : shown ? "unknown" : "");
    parts.birth.dataset.date = facts.birthDate;
    setText(parts.accession, facts.accession);
    setText(parts.since, momentText(shown?.openedAt));
    const problem = view.problem ? [view.problem.banner] : [];
    const banners = [...problem, ...syncBanners(view), ...(view.extra ?? [])];
    const state = stateOf(view, banners);
    parts.sync.dataset.state = state;
    setText(parts.sync, LABELS[state]);
    if (this.#notice) banners.push(this.#notice);
    this.#renderBanners(banners, view);
    document.title = shown ? `${facts.name} · ${view.app}` : view.app;
  }

  #renderBanners(banners, view) {
    const key = JSON.stringify(banners.map(({ key: id, title, text }) => [id, title, text]));
    if (key === this.#bannerKey) return; // unchanged: do not announce it again
    this.#bannerKey = key;
    const close = (banner) => () => {
      if (banner.dismissed) banner.dismissed();
      else this.#notice = null;
      view.actions.render();
    };
    const rows = banners.map((banner) =>
      h(
        "div",
        { class: `banner ${banner.kind}`, "data-banner": banner.key },
        h(
          "div",
          { class: "words" },
          h("strong", {}, banner.title),
          banner.text ? ` ${banner.text}` : "",
        ),
        h("div", { class: "buttons" }, buttonsOf(banner, close(banner))),
      ),
    );
    this.#parts.banner.replaceChildren(...rows);
    this.#parts.banner.hidden = rows.length === 0;
  }
}

function buttonsOf(banner, close) {
  const buttons = (banner.buttons ?? []).map(({ testid, label, press }) =>
    h("button", { type: "button", "data-testid": testid, onclick: press }, label),
  );
  if (!banner.dismiss) return buttons;
  const dismiss = { type: "button", class: "quiet", onclick: close, "aria-label": "Dismiss" };
  return [...buttons, h("button", dismiss, "✕")];
}

const fact = (label, value) => h("div", {}, h("dt", {}, label), h("dd", {}, value));

function stateOf({ sync, problem }, banners) {
  if (problem) return "out";
  if (sync.connection.state === "connecting") return "connecting";
  if (sync.connection.state !== "live") return "lost";
  if (banners.some((banner) => banner.sync)) return "lost";
  return sync.unsure ? "checking" : "in-sync";
}

/** Everything that keeps the apps apart: who, why, and what to do about it. */
function syncBanners(view) {
  if (view.problem) return [];
  const { connection, failures } = view.sync;
  const banners = [];
  if (connection.state === "lost") {
    banners.push({
      key: "hub-lost",
      kind: "bad",
      sync: true,
      title: `${connection.reason} since ${clockText(connection.since)}, retrying.`,
      text: view.shown ? "The other apps may be on another patient." : "",
      buttons: [{ testid: "retry", label: "Try now", press: view.actions.reconnect }],
    });
  }
  if (connection.state === "ended") {
    banners.push({
      key: "ended",
      kind: "bad",
      sync: true,
      title: "Subscription ended:",
      text: `${connection.reason}. This page does not follow the others any more.`,
      buttons: [{ testid: "reconnect", label: "Reconnect", press: view.actions.reconnect }],
    });
  }
  for (const failure of failures.values()) {
    if (!failure.self) banners.push(failureBanner(failure, view));
    else if (!(view.extra ?? []).some((banner) => banner.sync)) banners.push(ownBanner(failure));
  }
  return banners;
}

const ownBanner = (failure) => ({
  key: "failure-self",
  kind: "bad",
  sync: true,
  title: "This app is not in sync with the others.",
  text: `Open the case again to get back in step. ${reason(failure)}`,
});

function failureBanner(failure, view) {
  const gone = failure.eventName.toLowerCase() === "syncerror";
  return {
    key: `failure-${failure.name}`,
    kind: "bad",
    sync: true,
    title: gone
      ? `Not in sync: ${failure.name} has lost its connection.`
      : `Not in sync: ${failure.name} did not ${wanted(failure)}.`,
    text: gone
      ? `Reload or reopen ${failure.name}. ${reason(failure)}`
      : `Look there: save or discard, or open the earlier case again. ${reason(failure)}`,
    dismiss: gone,
    dismissed: () => view.sync.dismiss(failure.name),
  };
}

/** The reason given, without the name that the banner has said already. */
function reason({ name, diagnostics }) {
  const words = diagnostics.startsWith(`${name}: `)
    ? diagnostics.slice(name.length + 2)
    : diagnostics;
  return `Reason given: ${words}.`;
}

/** What the failing app should have done, in words of the user. */
function wanted({ eventName, context }) {
  const { action } = eventParts(eventName);
  const { name, accession } = caseOf(context?.context);
  const verbs = { open: "switch to", close: "close" };
  if (!name || !verbs[action]) return `follow ${eventName}`;
  return `${verbs[action]} ${name} (${accession || "no accession number"})`;
}
