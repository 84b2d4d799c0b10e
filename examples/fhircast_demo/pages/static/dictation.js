// Dictation: the report of the open case. Unsaved text is never lost and never shown under another
// patient: while there is some, this app refuses to follow, says so, and keeps its own patient.

import { byId } from "./dom.js";
import { DictationPanel } from "./dictation_panel.js";
import { Drafts } from "./drafts.js";
import { finalObservation, isDone, observationsOf, reportResource } from "./report.js";
import { caseOf } from "./resources.js";
import { Session } from "./session.js";

const drafts = new Drafts();

/** shown: the case on screen; stored: its report in the EHR; refused: the event not followed. */
const state = {
  shown: drafts.interrupted(),
  stored: null,
  phase: "ready", // loading | ready | saving | signing
  refused: null,
  untold: null, // a signed report whose announcement failed
  joined: false, // the hub has said at least once what is open
  loggedOut: false,
  logoutWaits: false, // a logout was refused because of unsaved text
};

const session = new Session({
  app: "dictation",
  shown: () => state.shown,
  extra: banners,
  onChange: followed,
  started: () => (state.shown && isReport(state.shown) ? load(state.shown) : panel.update()),
  stopped: () => panel.update(),
});

const isReport = (context) => context?.anchor.startsWith("DiagnosticReport/") ?? false;
const dirty = () => isReport(state.shown) && drafts.isDirty(state.shown.anchor);
const live = () => session.follower.contexts.get(state.shown?.anchor) ?? state.shown;
const apart = () =>
  state.shown !== null && state.joined && session.current?.anchor !== state.shown.anchor;

// ---------------------------------------------------------------------------------- following

function followed(change) {
  switch (change.kind) {
    case "open":
      if (!change.applied) return 200;
      return change.anchor === state.shown?.anchor ? stay(change.context) : moveOn(change);
    case "close":
      if (change.anchor !== state.shown?.anchor || !change.applied) return 200;
      return moveOn(change);
    case "home":
      return change.applied ? moveOn(change) : 200;
    case "read":
      state.joined = true;
      if (change.anchor === state.shown?.anchor) stay(change.context);
      else if (!dirty()) show(session.current);
      panel.update();
      return 200;
    case "logout":
      state.logoutWaits = dirty();
      return dirty() ? 409 : logOut();
    default:
      panel.update();
      if (change.kind === "select" && change.anchor === state.shown?.anchor) panel.focusSelected();
      return 200;
  }
}

function moveOn(change) {
  if (dirty()) return refuse(change.message);
  follow();
  return 200;
}

/** IRA-RC-04: unsaved text, so this app does not follow; the hub tells the others. */
function refuse(message) {
  state.refused = message;
  panel.update();
  return 409;
}

function stay(context) {
  if (context) state.shown = { ...context };
  if (state.refused && !apart()) state.refused = null;
  panel.update();
  return 200;
}

function show(context) {
  if (context && context.anchor === state.shown?.anchor) {
    stay(context);
    return;
  }
  state.shown = context ? { ...context } : null;
  state.stored = null;
  state.phase = "ready";
  drafts.keepShown(state.shown);
  panel.show();
  if (isReport(state.shown)) load(state.shown);
}

/** Resume: text of this window first, else what the EHR holds (IRA-RC-01). */
async function load(context) {
  const { anchor } = context;
  state.phase = "loading";
  panel.update();
  let problem = "";
  const found = await session.fhir.read(anchor).catch((error) => {
    problem = error.message;
    return null;
  });
  if (state.shown?.anchor !== anchor) return;
  state.stored = found?.body ?? null;
  const conclusion = state.stored?.conclusion ?? "";
  if (!drafts.isDirty(anchor)) {
    drafts.type(anchor, conclusion, conclusion.length);
    drafts.saved(anchor, conclusion);
  }
  state.phase = "ready";
  panel.show();
  if (problem) session.notice(`The saved report could not be read. ${problem}`, "warn");
}

/** Go where the others are, and let them know by repeating what had been refused. */
function follow() {
  const { refused } = state;
  state.refused = null;
  show(session.current);
  session.render();
  const stillTrue = refused?.id === session.current?.openMessage?.id || session.current === null;
  if (refused && stillTrue) session.repeatEvent(refused);
}

function logOut() {
  state.logoutWaits = false;
  state.loggedOut = true;
  show(null);
  session.logOut();
  panel.update();
  return 200;
}

// ------------------------------------------------------------------------- saving and signing

const mayNotSave = () => session.mayNot("save reports");
/** A signature is told to the others and closes the case: without all of it there is none. */
const mayNotSign = () =>
  mayNotSave() || session.mayNot("share reports") || session.mayNot("close reports");
/** What cannot be saved is not typed either: it would keep this app from following. */
const locked = () =>
  isDone(state.stored) || state.phase !== "ready" || (mayNotSave() !== "" && !dirty());

async function save(status, phase) {
  const context = live();
  const { anchor } = context;
  const text = drafts.text(anchor);
  state.phase = phase;
  panel.update();
  try {
    const found = await session.fhir.read(anchor);
    if (isDone(found?.body)) throw new Error("The EHR says that this report is signed already");
    const report = reportResource(context, found?.body ?? null, status, text.trim());
    const measured = status === "final" ? observationsOf(context).map(finalObservation) : [];
    await session.fhir.putAll([...measured, report], found ? { [anchor]: found.etag } : {});
    drafts.saved(anchor, text);
    if (state.shown?.anchor === anchor) state.stored = report;
    return report;
  } catch (error) {
    session.notice(`Not saved, nothing was announced: ${error.message}`);
    return null;
  } finally {
    if (state.shown?.anchor === anchor) state.phase = "ready";
    panel.update();
  }
}

async function saveDraft() {
  if (!isReport(state.shown) || locked()) return false;
  const { anchor } = state.shown;
  const report = await save("preliminary", "saving");
  if (!report) return false;
  if (session.follower.contexts.has(anchor) && !session.mayNot("share reports")) {
    const told = await session.commands.put(anchor, report);
    session.report(told, "The draft is saved, but the others were not told");
  } else session.notice("");
  if (!dirty() && state.logoutWaits) logOut();
  else if (!dirty() && apart()) follow();
  panel.update();
  return true;
}

async function sign() {
  if (!isReport(state.shown) || locked() || mayNotSign()) return;
  const { anchor } = state.shown;
  if (!drafts.text(anchor).trim()) {
    panel.hint("The report is empty. Dictate or type the findings before you sign.");
    return;
  }
  const report = await save("final", "signing"); // first the EHR: what fails here is not announced
  if (report) await announce(anchor, report);
}

/** Tell the others: status final, then close. Can be repeated until it has worked. */
async function announce(anchor, report) {
  state.untold = null;
  const { commands, follower } = session;
  const told = follower.contexts.has(anchor) ? await commands.put(anchor, report) : { ok: true };
  const closed = told.ok ? await commands.close(anchor) : told;
  if (!closed.ok) state.untold = { anchor, report, words: closed.words };
  else session.notice("");
  if (closed.ok && state.logoutWaits) logOut();
  else if (closed.ok && !follower.contexts.has(anchor) && state.shown?.anchor === anchor) follow();
  panel.update();
  session.render();
}

function discard() {
  drafts.discard(state.shown.anchor);
  if (state.logoutWaits) logOut();
  else follow();
}

function banners() {
  const found = [];
  if (state.untold) {
    const { anchor, report, words } = state.untold;
    found.push({
      key: "untold",
      kind: "bad",
      title: "The report is signed in the EHR, but the others were not told.",
      text: words,
      buttons: [
        { testid: "announce", label: "Tell them now", press: () => announce(anchor, report) },
      ],
    });
  }
  if (state.logoutWaits) found.push(logoutBanner);
  if (!apart() || state.logoutWaits) return found;
  const { name, accession } = caseOf(session.current?.context);
  const others = session.current ? `${name} (${accession || "no accession number"})` : "no case";
  const unsaved = dirty();
  found.push({
    key: "apart",
    kind: "bad",
    sync: true,
    title: `You are not in sync: the others show ${others}.`,
    text: unsaved ? "You have unsaved text here." : "",
    buttons: unsaved
      ? [
          { testid: "save-follow", label: "Save draft and follow", press: saveDraft },
          { testid: "discard-follow", label: "Discard and follow", press: discard },
        ]
      : [{ testid: "follow", label: "Follow", press: follow }],
  });
  return found;
}

const logoutBanner = {
  key: "logout",
  kind: "bad",
  sync: true,
  title: "The session was logged out elsewhere.",
  text: "You have unsaved text here.",
  buttons: [
    { testid: "save-logout", label: "Save draft and log out", press: saveDraft },
    { testid: "discard-logout", label: "Discard and log out", press: discard },
  ],
};

window.addEventListener("beforeunload", (event) => {
  if (dirty()) event.preventDefault();
});

const panel = new DictationPanel(byId("main"), {
  state,
  drafts,
  isReport: () => isReport(state.shown),
  locked,
  mayNotSave,
  mayNotSign,
  isOut: () => session.problem !== null,
  dirty,
  observations: () => observationsOf(live()),
  selection: () => live()?.selection ?? [],
  saveDraft,
  sign,
  typed: () => session.render(),
});
panel.show();
session.start();
