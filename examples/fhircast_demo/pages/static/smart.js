// SmartClient: SMART App Launch for a page: EHR launch and standalone launch with PKCE S256, the
// exchange of the code, fresh tokens, and fetch with the token. No DOM, no dependency, any server.
// Spec: FHIRcast 2.1, SMART App Launch 2.2; SMART-01 … SMART-05.

const ANSWER_TIMEOUT_MS = 8000;
const REFRESH_AT = 2 / 3; // of a token's life: before a lease that ends with the token is renewed
const TRY_AGAIN_MS = 5000;
const STATE_BYTES = 16;
const VERIFIER_BYTES = 48;

/** kind: "unreachable" (worth another try), "refused", "untrusted", or "ended" (sign in again). */
export class SmartError extends Error {
  constructor(kind, message) {
    super(message);
    this.kind = kind;
  }
}

export class SmartClient {
  #options;
  #storage;
  #fetch;
  #now;
  #grant = null;
  #refreshing = null;
  #tryAfter = 0;

  /**
   * @param {object} options clientId, redirectUri, scopes (array),
   *   servers: FHIR base URLs that may launch this page, the first is that of a standalone launch;
   *   ended(message): called when the grant is lost; storage, fetch and now may be given for tests.
   */
  constructor(options) {
    this.#options = options;
    this.#storage = options.storage ?? globalThis.sessionStorage;
    this.#fetch = options.fetch ?? globalThis.fetch.bind(globalThis);
    this.#now = options.now ?? Date.now;
  }

  /** What was granted: scope, hubUrl, topic, iss, expiresAt …; null before that. */
  get grant() {
    return this.#grant;
  }

  /**
   * Take the next step of a launch.
   * @param {string} href the page's address
   * @param {object} how standalone: may a launch begin here;
   *   clean(href): replaces the address by one without code, state and launch id.
   * @returns {Promise<string>} where the browser has to go, "" if the grant is there
   */
  async begin(href, { standalone = true, clean = () => {} } = {}) {
    const url = new URL(href);
    const values = Object.fromEntries(url.searchParams);
    const isAnswer = "code" in values || "error" in values;
    if (isAnswer || "launch" in values) clean(url.origin + url.pathname);
    if (isAnswer) {
      await this.#complete(values);
      return "";
    }
    if ("launch" in values) {
      const iss = this.#trusted(values.iss);
      this.forget(); // should this launch fail, a reload must not go on in the session before
      return this.#request(iss, values.launch);
    }
    this.#grant = this.#kept("grant");
    if (this.#grant) return "";
    if (!standalone) throw new SmartError("ended", "There is no session to go on with");
    return this.#request(this.#options.servers[0]);
  }

  /** A token that is good by our clock, and not the one that a server has `refused`. */
  async token(refused = "") {
    if (!this.#grant) throw new SmartError("ended", "Not signed in");
    const { accessToken, issuedAt, expiresAt, refreshToken } = this.#grant;
    const now = this.#now();
    const expired = expiresAt !== null && now >= expiresAt;
    const due = expiresAt !== null && now >= issuedAt + (expiresAt - issuedAt) * REFRESH_AT;
    // Several requests may be refused with one token: the first answer brings a fresh one for all.
    if (expired || refused === accessToken) await this.#fresh();
    else if (due && refreshToken && now >= this.#tryAfter) {
      await this.#fresh().catch((error) => {
        if (error.kind !== "unreachable") throw error;
        this.#tryAfter = now + TRY_AGAIN_MS; // the old one is still good
      });
    }
    return this.#grant.accessToken;
  }

  /** fetch with the token, on the EHR's own origin only; after a 401 once more with a fresh one. */
  async fetch(url, options = {}) {
    const { origin } = new URL(this.#grant?.iss ?? this.#options.servers[0]);
    if (new URL(url, origin).origin !== origin) return this.#fetch(url, options);
    const send = (token) => {
      const headers = { ...options.headers, Authorization: `Bearer ${token}` };
      return this.#fetch(url, { ...options, headers });
    };
    const token = await this.token();
    const answer = await send(token);
    return answer.status === 401 ? send(await this.token(token)) : answer;
  }

  /** Forget token and session: the next begin() is a new launch. */
  forget() {
    this.#grant = null;
    this.#keep("grant", null);
    this.#keep("pending", null);
  }

  // ------------------------------------------------------------------------------ the launch

  #trusted(iss = "") {
    const plain = (base) => base.replace(/\/+$/, "");
    if (!this.#options.servers.some((server) => plain(server) === plain(iss)))
      throw new SmartError("untrusted", "An EHR that this application does not know launched it");
    return iss;
  }

  async #request(iss, launch = "") {
    const server = await this.#discovered(iss);
    const { clientId, redirectUri, scopes } = this.#options;
    const [state, verifier] = [randomText(STATE_BYTES), randomText(VERIFIER_BYTES)];
    const asked = [...new Set([...(launch ? ["launch"] : []), ...scopes])].join(" ");
    const tokenEndpoint = server.token_endpoint;
    this.#keep("pending", { state, verifier, iss, asked, tokenEndpoint });
    const url = new URL(server.authorization_endpoint);
    const query = {
      response_type: "code",
      client_id: clientId,
      redirect_uri: redirectUri,
      scope: asked,
      state,
      aud: iss,
      code_challenge: await challengeOf(verifier),
      code_challenge_method: "S256",
      ...(launch ? { launch } : {}),
    };
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
    return url.href;
  }

  async #discovered(iss) {
    const url = `${iss.replace(/\/+$/, "")}/.well-known/smart-configuration`;
    const { ok, status, json } = await this.#ask(url, { headers: { Accept: "application/json" } });
    if (!ok) throw new SmartError("unreachable", `The EHR's SMART configuration: HTTP ${status}`);
    const endpoints = [json?.authorization_endpoint, json?.token_endpoint];
    if (!endpoints.every(isHttp))
      throw new SmartError("untrusted", "The EHR's SMART configuration names no endpoints");
    if (!json.code_challenge_methods_supported?.includes("S256"))
      throw new SmartError("untrusted", "The EHR does not support PKCE with S256");
    return json;
  }

  async #complete({ state, code, error, error_description: words }) {
    const pending = this.#kept("pending");
    if (!pending || !state || pending.state !== state)
      throw new SmartError(
        "untrusted",
        "The answer to the sign-in does not belong to this window (state)",
      );
    if (error) {
      this.#keep("pending", null);
      throw new SmartError("refused", words || error);
    }
    const { iss, asked, tokenEndpoint } = pending;
    const form = { code, code_verifier: pending.verifier, redirect_uri: this.#options.redirectUri };
    const answer = await this.#tokenAnswer(tokenEndpoint, "authorization_code", form);
    this.#keep("pending", null);
    this.#take(answer, { iss, tokenEndpoint, scope: asked });
  }

  // ------------------------------------------------------------------------------ tokens

  #fresh() {
    this.#refreshing ??= this.#refresh().finally(() => (this.#refreshing = null));
    return this.#refreshing;
  }

  async #refresh() {
    const before = this.#grant;
    try {
      if (!before.refreshToken) throw new SmartError("refused", "it has run out");
      const form = { refresh_token: before.refreshToken };
      const answer = await this.#tokenAnswer(before.tokenEndpoint, "refresh_token", form);
      if (this.#grant === before) this.#take(answer, before);
    } catch (error) {
      if (error.kind === "unreachable") throw error;
      const message = `The sign-in has ended: ${error.message}`;
      this.forget();
      this.#options.ended?.(message);
      throw new SmartError("ended", message);
    }
  }

  async #tokenAnswer(endpoint, grantType, form) {
    const fields = { grant_type: grantType, client_id: this.#options.clientId, ...form };
    const { ok, status, json } = await this.#ask(endpoint, {
      method: "POST",
      headers: { Accept: "application/json", "Content-Type": "application/x-www-form-urlencoded" },
      body: new URLSearchParams(fields).toString(),
    });
    if (status >= 500 || status === 429)
      throw new SmartError("unreachable", `The EHR's sign-in answered HTTP ${status}`);
    if (!ok) throw new SmartError("refused", json?.error_description || json?.error || "refused");
    if (!json?.access_token || String(json.token_type).toLowerCase() !== "bearer")
      throw new SmartError("untrusted", "The EHR gave no bearer token");
    return json;
  }

  #take(answer, before) {
    const now = this.#now();
    const life = Number(answer.expires_in);
    this.#grant = {
      iss: before.iss,
      tokenEndpoint: before.tokenEndpoint,
      accessToken: answer.access_token,
      refreshToken: answer.refresh_token ?? before.refreshToken ?? null,
      scope: answer.scope ?? before.scope,
      issuedAt: now,
      expiresAt: life > 0 ? now + life * 1000 : null,
      hubUrl: answer["hub.url"] ?? before.hubUrl ?? "",
      topic: answer["hub.topic"] ?? before.topic ?? "",
    };
    this.#keep("grant", this.#grant);
  }

  // ------------------------------------------------------------------------------ helpers

  async #ask(url, options) {
    try {
      const signal = AbortSignal.timeout(ANSWER_TIMEOUT_MS);
      const response = await this.#fetch(url, { ...options, cache: "no-store", signal });
      const json = await response.json().catch(() => null);
      return { ok: response.ok, status: response.status, json };
    } catch {
      throw new SmartError("unreachable", "The EHR does not answer");
    }
  }

  #kept(what) {
    return JSON.parse(this.#storage.getItem(this.#key(what)) ?? "null");
  }

  #keep(what, value) {
    if (value) this.#storage.setItem(this.#key(what), JSON.stringify(value));
    else this.#storage.removeItem(this.#key(what));
  }

  #key(what) {
    return `smart.${this.#options.clientId}.${what}`;
  }
}

const isHttp = (url) => typeof url === "string" && /^https?:\/\/[^/]/i.test(url);

const base64url = (bytes) =>
  btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replaceAll("=", "");

const randomText = (count) => base64url(crypto.getRandomValues(new Uint8Array(count)));

async function challengeOf(verifier) {
  if (!crypto.subtle)
    throw new SmartError("untrusted", "Sign-in needs https, or http on this very machine");
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(verifier));
  return base64url(new Uint8Array(digest));
}
