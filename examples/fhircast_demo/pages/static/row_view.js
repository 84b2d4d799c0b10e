// One row of the worklist as a table row: who, what, how far, and what can be done with it.

import { h } from "./dom.js";
import { dateText } from "./resources.js";
import { STATUS_LABELS } from "./rows.js";

const CELL = { role: "cell" };

/** @param {object} page what a row can ask for: pick, ask, openReport, openImages, isBusy, mayNot */
export function drawRow(row, page) {
  const person = [
    h("span", {}, row.mrn),
    " ",
    h("span", {}, `born ${dateText(row.birthDate) || "unknown"}`),
  ];
  const modality = row.modality ? h("span", { class: "tag" }, row.modality) : null;
  const status = { class: "tag", "data-status": row.status, "data-testid": "case-status" };
  return h(
    "tr",
    {
      role: "row",
      "data-testid": "worklist-row",
      "data-key": row.key,
      "data-accession": row.accession,
      "data-status": row.status,
      "aria-current": row.current ? "true" : null,
      onfocus: () => page.pick(row.key),
      ondblclick: (event) => {
        if (canOpen(row, page) && !event.target.closest("button")) page.openReport(row);
      },
    },
    h("td", CELL, h("div", { class: "name" }, row.name), h("div", { class: "muted" }, person)),
    h(
      "td",
      CELL,
      h("div", {}, modality, ` ${row.description}`),
      h("div", { class: "muted" }, row.accession || "no accession"),
    ),
    h("td", CELL, h("span", status, STATUS_LABELS[row.status])),
    h("td", CELL, h("div", { class: "actions" }, actions(row, page))),
  );
}

/** Why a button does nothing for this user: reasons in words, "" where it may. */
export const refusals = (page) => ({
  report: page.mayNot("open reports"),
  images: page.mayNot("open images"),
  close: page.mayNot("close cases"),
});

const isReady = (row, page) => Boolean(row.study && row.patient) && !page.isBusy(row);
export const canShow = (row, page) => isReady(row, page) && !refusals(page).images;
export const canOpen = (row, page) =>
  isReady(row, page) && Boolean(row.report) && !refusals(page).report;
export const canClose = (row, page) => row.openAnchors.length > 0 && !refusals(page).close;

function actions(row, page) {
  const button = (testid, label, title, press, enabled) =>
    h(
      "button",
      {
        type: "button",
        "data-testid": testid,
        title,
        onclick: press,
        disabled: !enabled,
        tabindex: "-1",
      },
      label,
    );
  const open = row.report ? "Open the report (Enter)" : "The EHR has no report for this order yet";
  const closable = row.openAnchors[0];
  const refused = refusals(page);
  const close = refused.close || "Close without signing";
  return [
    button(
      "open",
      "Open",
      refused.report || open,
      () => page.openReport(row),
      canOpen(row, page),
    ),
    button(
      "open-images",
      "Images",
      refused.images || "Show the images only (I)",
      () => page.openImages(row),
      canShow(row, page),
    ),
    closable
      ? button("close-case", "Close case", close, () => page.ask(closable), canClose(row, page))
      : null,
  ];
}
