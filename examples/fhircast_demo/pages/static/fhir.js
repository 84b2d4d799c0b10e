// The EHR's FHIR R4 API: search, read, put. Errors carry the OperationOutcome's own words.

const ANSWER_TIMEOUT_MS = 8000;

export class FhirError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

export class FhirClient {
  #base;
  #fetch;

  /** @param {typeof fetch} fetch sends the token along */
  constructor(base, fetch) {
    this.#base = base.replace(/\/+$/, "");
    this.#fetch = fetch;
  }

  /** All resources of a search, following the "next" links up to a bound. */
  async search(query) {
    const found = [];
    let url = `${this.#base}/${query}`;
    for (let page = 0; url && page < 20; page += 1) {
      const { body } = await this.#call(url);
      found.push(...(body.entry ?? []).map((entry) => entry.resource).filter(Boolean));
      const next = body.link?.find((link) => link.relation === "next")?.url;
      url = next ? new URL(next, url.startsWith("http") ? url : location.href).href : null;
    }
    return found;
  }

  /** A resource and its version tag; null if it does not exist. */
  async read(ref) {
    try {
      return await this.#call(`${this.#base}/${ref}`);
    } catch (error) {
      if (error.status === 404 || error.status === 410) return null;
      throw error;
    }
  }

  /** All or nothing: PUT several resources in one transaction Bundle. */
  putAll(resources, ifMatch = {}) {
    const entry = resources.map((resource) => {
      const url = `${resource.resourceType}/${resource.id}`;
      const match = ifMatch[url] ? { ifMatch: ifMatch[url] } : {};
      return { fullUrl: url, resource, request: { method: "PUT", url, ...match } };
    });
    return this.#call(`${this.#base}/`, "POST", {
      resourceType: "Bundle",
      type: "transaction",
      entry,
    });
  }

  async #call(url, method = "GET", body = undefined) {
    const headers = { Accept: "application/fhir+json" };
    if (body) headers["Content-Type"] = "application/fhir+json";
    let response;
    try {
      response = await this.#fetch(url, {
        method,
        headers,
        body: body && JSON.stringify(body),
        cache: "no-store",
        signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS),
      });
    } catch (error) {
      const ended = error.kind === "ended"; // of SmartClient: signed out
      throw new FhirError(ended ? error.message : "The EHR does not answer", 0);
    }
    const answer = await response.json().catch(() => null);
    if (response.ok) return { body: answer, etag: response.headers.get("ETag") };
    const words = answer?.issue?.[0]?.diagnostics ?? response.statusText;
    throw new FhirError(`The EHR refused: ${words} (HTTP ${response.status})`, response.status);
  }
}
