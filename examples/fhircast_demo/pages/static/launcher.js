// The EHR's page: who is signed in, the three applications launched side by side, and what a client
// of one's own needs to join the session.

import { APPS, EVENTS } from "./apps.js";
import { byId, copyText, copyable, h } from "./dom.js";

const SIGN_IN = "/login";
const RETRY_MS = 1500;

/** Someone has to sign in first: the browser is on its way there. */
class SignedOut extends Error {}

async function ask(path, method = "GET") {
  const options = { method, cache: "no-store", signal: AbortSignal.timeout(5000) };
  const response = await fetch(path, options);
  if (response.status === 401) throw new SignedOut();
  if (!response.ok) throw new Error(`${path} answered ${response.status}`);
  return response.json();
}

// ------------------------------------------------------------------------------------ panes

function showPane(app, { url }) {
  const title = APPS[app].title;
  const link = h(
    "a",
    { href: `/${app}`, target: "_blank", rel: "noopener", "data-testid": `window-${app}` },
    `Open ${title.toLowerCase()} in its own window ↗`,
  );
  link.addEventListener("click", (event) => {
    event.preventDefault(); // an EHR launch; the bare link, e.g. by the middle button, is standalone
    launchWindow(app).catch(failed);
  });
  const frame = h("iframe", {
    src: url,
    title,
    name: app,
    "data-testid": `pane-${app}`,
    allow: "clipboard-write",
  });
  byId("panes").append(
    h("section", { class: "pane", "aria-label": title }, h("header", {}, link), frame),
  );
}

/** A launch id is good for one launch: a new window takes a new one. */
async function launchWindow(app) {
  const { apps } = await ask("/ehr/session");
  window.open(apps[app].url, "_blank", "noopener");
}

// ------------------------------------------------------------------------------------ own client

byId("own").addEventListener("click", async () => {
  const panel = byId("own-client");
  panel.hidden = !panel.hidden;
  byId("own").setAttribute("aria-expanded", String(!panel.hidden));
  if (panel.hidden) return;
  await ask("/ehr/own-client", "POST").then(showOwnClient).catch(failed);
});

function fact(label, value, testid) {
  const button = copyable(testid, label.toLowerCase());
  button.textContent = value;
  return h("div", {}, h("dt", {}, label), h("dd", {}, button));
}

function command(text) {
  const button = h("button", { type: "button", onclick: () => copyText(text) }, "Copy");
  return h("pre", {}, text, button);
}

function showOwnClient(given) {
  const { "hub.url": url, "hub.topic": topic, access_token: token } = given;
  const bearer = ` -H 'Authorization: Bearer ${token}'`;
  const form = {
    "hub.channel.type": "websocket",
    "hub.mode": "subscribe",
    "hub.topic": topic,
    "hub.events": EVENTS.join(","),
    "subscriber.name": "My client",
  };
  const fields = Object.entries(form).map(
    ([key, value]) => ` \\\n  --data-urlencode '${key}=${value}'`,
  );
  const minutes = Math.round(given.expires_in / 60);
  byId("own-client").replaceChildren(
    h(
      "p",
      {},
      "Any FHIRcast 3.0.0 client can join this session. Give it the hub URL, the topic and this token " +
        `(good for ${minutes} minutes; scope: ${given.scope}); it then follows every case.`,
    ),
    h(
      "dl",
      { class: "facts" },
      fact("Token", token, "hub-token"),
      fact("FHIR", given.fhirBaseUrl, "fhir-url"),
      fact("DICOMweb", given.dicomwebUrl, "dicomweb-url"),
    ),
    h("h2", {}, "1. Subscribe"),
    command(`curl '${url}'${bearer}${fields.join("")}`),
    h(
      "h2",
      {},
      "2. Connect a WebSocket to the hub.channel.endpoint of the answer, and acknowledge what arrives",
    ),
    command('{"id": "<id of the notification>", "status": "200"}'),
    h("h2", {}, "3. Ask what is open now"),
    command(`curl '${url}/${encodeURIComponent(topic)}'${bearer}`),
  );
}

// ------------------------------------------------------------------------------------ session

function failed(error) {
  if (error instanceof SignedOut) location.assign(SIGN_IN);
  else problem("The EHR does not answer.");
}

function problem(words, button = null) {
  const banner = h(
    "div",
    { class: "banner bad" },
    h("div", { class: "words" }, h("strong", {}, words)),
    h("div", { class: "buttons" }, button),
  );
  byId("problem").replaceChildren(...(words ? [banner] : []));
  byId("problem").hidden = !words;
}

function showSession(session) {
  byId("user").textContent = session.user.name;
  byId("facts").replaceChildren(
    fact("Hub URL", session["hub.url"], "hub-url"),
    fact("Topic", session["hub.topic"], "hub-topic"),
  );
  for (const app of Object.keys(APPS)) showPane(app, session.apps[app]);
  document.addEventListener("visibilitychange", () => stillTheSame(session["hub.topic"]));
}

/** Somebody may have signed out, or in as someone else, in another window of this browser. */
async function stillTheSame(topic) {
  if (document.hidden) return;
  try {
    const session = await ask("/ehr/session");
    if (session["hub.topic"] === topic) return;
  } catch (error) {
    if (!(error instanceof SignedOut)) return;
  }
  const reload = h("button", { type: "button", onclick: () => location.reload() }, "Go on there");
  problem("This session has ended: there was another sign-in or a sign-out.", reload);
}

async function start() {
  for (;;) {
    try {
      showSession(await ask("/ehr/session"));
      problem("");
      return;
    } catch (error) {
      if (error instanceof SignedOut) {
        location.assign(SIGN_IN);
        return;
      }
      problem("The EHR does not answer; retrying.");
      await new Promise((done) => setTimeout(done, RETRY_MS));
    }
  }
}

start();
