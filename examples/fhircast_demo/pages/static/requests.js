// HTTP towards the hub: subscribe form, event POST, GET of the current context.
// Retry rules of IRA-SUB-08: no answer at all → same id again; an error answer → never blindly.

const NO_ANSWER_RETRIES = 2;
const RETRY_PAUSE_MS = 400;
const ANSWER_TIMEOUT_MS = 5000;

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

/** The hub gave no answer: connection refused, network lost, or no reply in time. */
export class NoAnswer extends Error {}

/** There is no token to be had any more: somebody has to sign in again. Thrown by getToken. */
export class NotAuthorized extends Error {}

export class HubRequests {
  #getToken;
  #fetch;

  constructor({ hubUrl, topic, getToken, fetch = globalThis.fetch.bind(globalThis) }) {
    this.hubUrl = hubUrl.replace(/\/+$/, "");
    this.topic = topic;
    this.#getToken = getToken ?? (async () => "");
    this.#fetch = fetch;
  }

  /** POST an (un)subscribe form; each field once (SUB-05). */
  form(fields) {
    return this.#call(this.hubUrl, {
      method: "POST",
      headers: { "Content-Type": "application/x-www-form-urlencoded" },
      body: new URLSearchParams(fields).toString(),
    });
  }

  /** POST an event. Answers {ok, status, text, json}; throws NoAnswer after the last retry. */
  async post(message) {
    const request = {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(message),
    };
    for (let attempt = 0; ; attempt += 1) {
      try {
        return await this.#call(this.hubUrl, request);
      } catch (error) {
        if (!(error instanceof NoAnswer) || attempt >= NO_ANSWER_RETRIES) throw error;
        await pause(RETRY_PAUSE_MS * (attempt + 1));
      }
    }
  }

  /** GET {hub.url}/{topic}; status 404 means that the hub does not know the topic. */
  currentContext() {
    return this.#call(`${this.hubUrl}/${encodeURIComponent(this.topic)}`, {
      headers: { Accept: "application/json" },
    });
  }

  async #call(url, request) {
    const token = await this.#getToken();
    const answer = await this.#once(url, request, token);
    if (answer.status !== 401) return answer;
    return this.#once(url, request, await this.#getToken(token)); // expired: one fresh token
  }

  async #once(url, request, token) {
    const headers = { ...request.headers };
    if (token) headers.Authorization = `Bearer ${token}`;
    const options = { ...request, headers, cache: "no-store" };
    let response;
    let text;
    try {
      response = await this.#fetch(url, {
        ...options,
        signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS),
      });
      text = await response.text();
    } catch (error) {
      throw new NoAnswer("the hub does not answer", { cause: error });
    }
    return { ok: response.ok, status: response.status, text: text.trim(), json: parsed(text) };
  }
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** An error answer in words for the user: the first line of the plain text, and the status. */
export const inWords = (answer) =>
  `${answer.text.split("\n")[0] || "no reason given"} (HTTP ${answer.status})`;
