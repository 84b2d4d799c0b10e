// The reading worklist: opens cases for every app in the session and follows their state.

import { byId, h, isTyping } from "./dom.js";
import { canClose, canOpen, canShow, drawRow, refusals } from "./row_view.js";
import { Rows, imagesContext, matches, reportContext } from "./rows.js";
import { Session } from "./session.js";

const POLL_MS = 3000;
const FILTERS = { todo: "To read", done: "Done", all: "All" };

const rows = new Rows();
const view = {
  filter: "todo",
  words: "",
  selected: null,
  busy: null,
  closing: null,
  ehr: "loading",
};

const session = new Session({
  app: "worklist",
  shown: () => session.current,
  extra: banners,
  onChange(change) {
    if (change.kind === "logout") return loggedOut();
    if (!session.follower.contexts.has(view.closing)) view.closing = null;
    render();
    return 200;
  },
  started: poll,
  stopped: () => render(),
});

// ------------------------------------------------------------------------------------ actions

async function act(row, action, failedWords) {
  view.busy = row.key;
  render();
  const result = await action();
  view.busy = null;
  session.report(result, failedWords);
  render();
}

const openReport = (row) =>
  act(row, () => session.commands.open("DiagnosticReport-open", reportContext(row)), "Not opened");

const openImages = (row) =>
  act(row, () => session.commands.open("ImagingStudy-open", imagesContext(row)), "Not opened");

async function closeCase() {
  const anchor = view.closing;
  view.closing = null;
  session.report(await session.commands.close(anchor), "Not closed");
}

function loggedOut() {
  view.ehr = "logged-out";
  session.logOut();
  return 200;
}

async function poll() {
  try {
    await rows.refresh(session.fhir);
    if (view.ehr !== "logged-out") view.ehr = "ok";
  } catch (error) {
    view.ehr = error.message;
  }
  render();
  if (view.ehr !== "logged-out" && session.smart.grant) setTimeout(poll, POLL_MS);
}

function banners() {
  const found = [];
  if (view.closing) {
    found.push({
      key: "closing",
      kind: "warn",
      title: "Close this case without a signed report?",
      text: "It stays on the list; the other apps stop showing it.",
      buttons: [
        { testid: "close-confirm", label: "Close case", press: closeCase },
        { testid: "close-cancel", label: "Keep open", press: () => ask(null) },
      ],
    });
  }
  if (!["ok", "loading", "logged-out"].includes(view.ehr) && session.smart.grant) {
    found.push({
      key: "ehr",
      kind: "warn",
      title: view.ehr,
      text: "The list may be out of date; retrying.",
    });
  }
  return found;
}

function ask(anchor) {
  view.closing = anchor;
  session.render();
}

// ------------------------------------------------------------------------------------- drawing

const search = h("input", {
  type: "search",
  placeholder: "Name, ID, accession …",
  "aria-label": "Search the worklist",
  "data-testid": "search",
  oninput: () => {
    view.words = search.value.trim();
    render();
  },
});
const filters = Object.entries(FILTERS).map(([key, label]) =>
  h(
    "button",
    { type: "button", "data-testid": `filter-${key}`, onclick: () => filter(key) },
    label,
  ),
);
const body = h("tbody", { "data-testid": "worklist", role: "rowgroup" });
const table = h(
  "table",
  { class: "list", role: "table" }, // roles: the narrow layout takes the table's own away
  h(
    "thead",
    {},
    h(
      "tr",
      {},
      ["Patient", "Study", "Status", ""].map((text) => h("th", { scope: "col" }, text)),
    ),
  ),
  body,
);
const empty = h("div", { class: "empty", "data-testid": "empty" });
const help = h("p", { class: "keys muted" });
help.append(
  h("kbd", {}, "↑"),
  " ",
  h("kbd", {}, "↓"),
  " select  ",
  h("kbd", {}, "Enter"),
  " open  ",
);
help.append(
  h("kbd", {}, "I"),
  " images only  ",
  h("kbd", {}, "C"),
  " close  ",
  h("kbd", {}, "/"),
  " search",
);
byId("main").append(
  h("div", { class: "toolbar", role: "search" }, search, h("span", { class: "gap" }), filters),
  h("div", { class: "scroll" }, table, empty),
  help,
);

function filter(key) {
  view.filter = key;
  render();
}

const inFilter = (row) => view.filter === "all" || row.done === (view.filter === "done");

const visibleRows = () =>
  rows.list(session.follower).filter((row) => inFilter(row) && matches(row, view.words));

function render() {
  const list = view.ehr === "logged-out" ? [] : visibleRows();
  const focused = document.activeElement?.closest?.("tr")?.dataset.key;
  const control = document.activeElement?.dataset?.testid;
  if (!list.some((row) => row.key === view.selected)) view.selected = list[0]?.key ?? null;
  drawRows(list);
  table.hidden = list.length === 0;
  empty.hidden = list.length > 0;
  if (list.length === 0) drawEmpty();
  filters.forEach((button, index) =>
    button.setAttribute("aria-pressed", String(Object.keys(FILTERS)[index] === view.filter)),
  );
  if (focused && !body.contains(document.activeElement)) focus(focused, control);
  session.render();
}

function drawEmpty() {
  const texts = {
    loading: ["Loading the worklist …", ""],
    "logged-out": ["Not signed in.", "See the message above."],
  };
  const none = view.words
    ? ["Nothing found.", "Clear the search box, or look under “All”."]
    : view.filter === "done"
      ? ["No finished case yet.", "Open a case under “To read”, dictate it and sign it."]
      : [
          "Nothing left to read.",
          "New orders appear here by themselves; finished ones are under “Done”.",
        ];
  const isOut = session.problem && !session.smart.grant;
  const [title, text] = texts[isOut ? "logged-out" : view.ehr] ?? (view.ehr === "ok" ? none : [view.ehr, "Retrying."]);
  empty.replaceChildren(h("strong", {}, title), text);
}

const page = {
  pick,
  ask,
  openReport,
  openImages,
  isBusy: (row) => view.busy === row.key,
  mayNot: (what) => session.mayNot(what) || (session.problem ? session.problem.title : ""),
};
const rowElements = new Map();

/** Rows that did not change keep their element: a click must never hit one that is being replaced. */
function drawRows(list) {
  const elements = list.map((row) => {
    const versions = [row.order, row.patient, row.study, row.report].map((each) => each?.meta);
    const shows = { ...row, order: 0, patient: 0, study: 0, report: 0, versions };
    const key = JSON.stringify([shows, row.key === view.busy, Object.values(refusals(page))]);
    if (rowElements.get(row.key)?.key !== key)
      rowElements.set(row.key, { key, element: drawRow(row, page) });
    return rowElements.get(row.key).element;
  });
  const same =
    elements.length === body.children.length &&
    elements.every((element, index) => element === body.children[index]);
  if (!same) body.replaceChildren(...elements);
  pick(view.selected);
}

/** Select a row; only attributes change, so that a click under way still hits its button. */
function pick(key) {
  view.selected = key;
  for (const element of body.children) element.tabIndex = element.dataset.key === key ? 0 : -1;
}

function focus(key, control) {
  const row = [...body.children].find((each) => each.dataset.key === key);
  const inner = control && row?.querySelector(`button[data-testid="${control}"]:not(:disabled)`);
  (inner ?? row)?.focus({ preventScroll: true });
}

document.addEventListener("keydown", (event) => {
  if (event.key === "/" && !isTyping(event)) {
    event.preventDefault();
    search.focus();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const list = visibleRows();
  const at = list.findIndex((row) => row.key === view.selected);
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step && list.length) {
    event.preventDefault();
    const next = list[Math.min(list.length - 1, Math.max(0, at + step))];
    const inList = body.contains(document.activeElement);
    pick(inList ? next.key : (list[at] ?? next).key);
    focus(view.selected);
    return;
  }
  const row = list[at];
  if (!row || (isTyping(event) && event.key !== "Enter")) return;
  if (event.target.closest?.("button, a")) return;
  if (event.key === "Enter" && canOpen(row, page)) openReport(row);
  else if (isTyping(event)) return;
  else if (event.key.toLowerCase() === "i" && canShow(row, page)) openImages(row);
  else if (event.key.toLowerCase() === "c" && canClose(row, page)) ask(row.openAnchors[0]);
});

render();
session.start();
