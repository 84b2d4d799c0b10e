// The launcher: the three apps side by side, and what an own client needs to join the session.

import { byId, copyText, copyable, h } from "./dom.js";
import { EVENTS, launchValues } from "./session.js";

const PANES = { worklist: "Worklist", viewer: "Viewer", dictation: "Dictation" };
const RETRY_MS = 1500;

for (const [app, title] of Object.entries(PANES)) {
  const link = h(
    "a",
    { href: `/${app}`, target: "_blank", rel: "noopener", "data-testid": `window-${app}` },
    `Open ${title.toLowerCase()} in its own window ↗`,
  );
  const frame = h("iframe", {
    src: `/${app}`,
    title,
    name: app,
    "data-testid": `pane-${app}`,
    allow: "clipboard-write",
  });
  byId("panes").append(
    h("section", { class: "pane", "aria-label": title }, h("header", {}, link), frame),
  );
}

byId("own").addEventListener("click", () => {
  const panel = byId("own-client");
  panel.hidden = !panel.hidden;
  byId("own").setAttribute("aria-expanded", String(!panel.hidden));
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

function showLaunch(launch) {
  const { "hub.url": url, "hub.topic": topic, access_token: token } = launch;
  byId("facts").replaceChildren(
    fact("Hub URL", url, "hub-url"),
    fact("Topic", topic, "hub-topic"),
    token ? fact("Token", token, "hub-token") : "",
  );
  const bearer = token ? ` -H 'Authorization: Bearer ${token}'` : "";
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
  byId("own-client").replaceChildren(
    h(
      "p",
      {},
      "Any FHIRcast 3.0.0 client can join this session. Give it the hub URL, the topic and the token above; it then follows every case, and may open cases itself.",
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

async function start() {
  for (;;) {
    try {
      showLaunch(await launchValues(""));
      byId("problem").hidden = true;
      return;
    } catch {
      byId("problem").hidden = false;
      const words = h("strong", {}, "The demo server does not hand out launch values; retrying.");
      byId("problem").replaceChildren(h("div", { class: "banner bad" }, words));
      await new Promise((done) => setTimeout(done, RETRY_MS));
    }
  }
}

start();
