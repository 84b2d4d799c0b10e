// The viewer: shows the images of the case that is open in the session, and only those.

import { byId } from "./dom.js";
import { StudyProblem, fetchStudy, identityProblem, resolveStudyUid } from "./images.js";
import { Rulers, lengthObservation, measurementList } from "./measurements.js";
import { deleteEntry, refOf, resourceOf } from "./messages.js";
import { Session } from "./session.js";
import { Stage } from "./stage.js";
import { StudyView } from "./study_view.js";
import { ViewerPanel } from "./viewer_panel.js";

const ANSWER_WITHIN_MS = 1500; // then 202 and, if need be, a SyncError
const LOAD_WITHIN_MS = 9000; // so that a refusal is told within 10 s (ACK-04)

const [SHARE, SELECT] = ["share measurements", "select measurements for all"];

/** What is on screen: the anchor, how far its images are, and what went wrong. */
const state = { anchor: null, images: "none", problem: null, load: null };
const rulers = new Rulers();

const session = new Session({
  app: "viewer",
  shown: () => session.current,
  extra: banners,
  onChange: followed,
  started: () => panel.update(),
  stopped: () => panel.update(),
});

// ---------------------------------------------------------------------------------- following

function followed(change) {
  switch (change.kind) {
    case "open":
      if (!change.applied) return 200;
      if (change.repeated && state.images !== "failed") return 200;
      if (showsAlready(change.context)) return 200;
      return follow(change.context, change.message);
    case "close":
      if (change.wasCurrent) leaveCase();
      return 200;
    case "home":
      if (change.applied) leaveCase();
      return 200;
    case "read":
      if (change.anchor !== state.anchor)
        change.context ? follow(change.context, null) : leaveCase();
      panel.update();
      return 200;
    case "logout":
      leaveCase();
      session.logOut();
      return 200;
    default:
      panel.update();
      return 200;
  }
}

/** The same case once more, e.g. opened again by a user: keep the picture, if it still fits. */
const showsAlready = (context) =>
  state.images === "ready" &&
  state.anchor === context.anchor &&
  identityProblem(view.study, studyUid(), context.context) === null;

function leaveCase() {
  state.load?.abort();
  Object.assign(state, { anchor: null, images: "none", problem: null, load: null });
  view.clear();
  panel.update();
}

/** The old pictures go first; then the new ones are fetched, checked and shown. Answers the status. */
function follow(context, message) {
  leaveCase();
  const load = new AbortController();
  Object.assign(state, { anchor: context.anchor, images: "loading", load });
  panel.update();
  const loading = loadImages(context, load);
  const answered = { late: false };
  const late = new Promise((done) => setTimeout(done, ANSWER_WITHIN_MS, 202));
  loading.then((status) => {
    if (status >= 400 && answered.late && message) {
      session.commands.syncError(message, state.problem ?? "the images could not be shown");
    }
  });
  return Promise.race([loading, late]).then((status) => {
    answered.late = status === 202;
    return status;
  });
}

async function loadImages(context, load) {
  const overtaken = () => state.load !== load;
  let timer;
  const tooSlow = new Promise((_, reject) => {
    const problem = new StudyProblem("The images took too long to load");
    timer = setTimeout(() => reject(problem), LOAD_WITHIN_MS);
  });
  try {
    const images = await Promise.race([fetchChecked(context, load), tooSlow]);
    return overtaken() ? 200 : shown(images);
  } catch (error) {
    if (overtaken()) return 200; // a newer event has taken over; it answers for itself
    load.abort();
    view.clear();
    state.problem =
      error instanceof StudyProblem ? error.message : "The images could not be loaded";
    if (!(error instanceof StudyProblem)) console.error("viewer", error);
    return shown("failed");
  } finally {
    clearTimeout(timer);
  }
}

/** Fetch, check, and only then show: no pixel of an unchecked study ever reaches the canvas. */
async function fetchChecked(context, load) {
  const uid = await resolveStudyUid(context.context, session.fhir);
  if (!uid) return "no-study";
  const study = await fetchStudy(session.dicomweb, uid, load.signal, session.get);
  const problem = identityProblem(study, uid, context.context);
  if (problem) throw new StudyProblem(problem);
  if (!load.signal.aborted) await view.show(study);
  return "ready";
}

function shown(images) {
  state.images = images;
  panel.update();
  session.render();
  return images === "failed" ? 409 : 200;
}

function banners() {
  if (state.images !== "failed") return [];
  return [
    {
      key: "images-failed",
      kind: "bad",
      sync: true,
      title: `Images not shown: ${state.problem}.`,
      text: "The others were told that this viewer does not follow.",
      buttons: [{ testid: "retry-images", label: "Try again", press: retry }],
    },
  ];
}

/** Try again; if it works now, repeat the refused event so that the others take their flags down. */
async function retry() {
  const { current } = session;
  if (!current) return;
  const status = await follow(current, current.openMessage);
  session.render();
  if (status === 200 && state.images === "ready") session.repeatEvent(current.openMessage);
}

// ---------------------------------------------------------------------------------- measuring

const studyUid = () => view.study?.studyInstanceUid ?? "";

const measurements = () =>
  view.study ? measurementList(rulers.of(studyUid()), session.current) : [];

const reportOpen = () => state.anchor?.startsWith("DiagnosticReport/") ?? false;

async function share(entry) {
  const { anchor, context } = session.current;
  const [patient, study] = [resourceOf(context, "Patient"), resourceOf(context, "ImagingStudy")];
  const meta = { pixelSpacing: entry.ruler.spacing };
  const observation = lengthObservation(entry.ruler, meta, refOf(patient), refOf(study));
  session.report(await session.commands.put(anchor, observation), "Not shared");
  panel.update();
}

async function remove(entry) {
  if (entry.shared) {
    const result = await session.commands.update(state.anchor, [deleteEntry(entry.ref)]);
    if (!session.report(result, "Not removed")) return;
  }
  if (entry.ruler) rulers.remove(studyUid(), entry.id);
  panel.update();
}

/** A user's click on a shared measurement: all apps bring it into focus; again: selection cleared. */
async function select(entry) {
  if (entry.ruler) {
    const at = view.series.slices.findIndex((slice) => slice.key === entry.ruler.slice);
    if (at >= 0) view.goTo(at).catch(failedSlice);
  }
  if (!entry.shared || !reportOpen() || session.mayNot(SELECT)) return;
  const refs = entry.selected ? [] : [entry.ref];
  session.report(await session.commands.select(state.anchor, refs), "Not selected");
}

function failedSlice(error) {
  if (error.name !== "AbortError") session.notice(error.message, "warn");
}

const panel = new ViewerPanel(byId("main"), {
  state,
  reportOpen,
  measurements,
  share,
  remove,
  select,
  failedSlice,
  current: () => session.current,
  mayNotShare: () => session.mayNot(SHARE),
  mayNotSelect: () => session.mayNot(SELECT),
  isOut: () => session.problem !== null,
});
const stage = new Stage(panel.canvas, {
  changed: () => panel.overlay(),
  scrolled: (step) => view.study && view.goTo(view.sliceIndex + step).catch(failedSlice),
  picked: (ruler) => select(measurements().find((entry) => entry.id === ruler.id)),
  measured: (a, b) => {
    const ruler = rulers.add(studyUid(), view.slice, a, b);
    panel.update(ruler.id);
  },
});
const view = new StudyView(stage, session.get);
panel.attach(stage, view);
session.start();
