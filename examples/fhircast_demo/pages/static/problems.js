// What keeps a page out of the session, in words: what is the matter, and what to do about it.

const EHR_PAGE = "/";
const isFramed = () => window.top !== window;

/** Sign in again: on the EHR's page if it shows this one in a frame, else by a new launch here. */
const again = {
  testid: "sign-in",
  get label() {
    return isFramed() ? "Start again from the EHR" : "Sign in again";
  },
  press: () => (isFramed() ? window.top.location.assign(EHR_PAGE) : location.reload()),
};

const ehr = {
  testid: "go-to-ehr",
  label: "Go to the EHR",
  press: () => window.top.location.assign(EHR_PAGE),
};

export class Problem {
  constructor(title, text) {
    this.title = title;
    this.text = text;
  }

  /** @param {Error} error of SmartClient, or anything else that went wrong in a launch */
  static of(error) {
    if (error.kind === "refused")
      return new Problem("The EHR did not let this application in:", sentence(error.message));
    if (error.kind === "untrusted")
      return new Problem(sentence(error.message), "Nothing of it was accepted.");
    if (error.kind === "ended") return Problem.ended(error.message);
    return new Problem("This application could not be started.", "Its log says more.");
  }

  static ended(message) {
    return new Problem(sentence(message), "This page does not follow the others any more.");
  }

  static loggedOut() {
    return new Problem("You have been logged out.", "This session has ended, for all applications.");
  }

  get banner() {
    return {
      key: "problem",
      kind: "bad",
      sync: true,
      title: this.title,
      text: this.text,
      buttons: isFramed() ? [again] : [again, ehr],
    };
  }
}

export const noSession = () =>
  new Problem(
    "The EHR granted this application no FHIRcast scope: it takes no part in the session.",
    "Sign in as a user who may, or have the scopes registered for this application.",
  );

export const noFollowing = () =>
  new Problem(
    "The EHR did not allow this application to follow the others (fhircast/….read).",
    "Sign in as a user who may, or have the scopes registered for this application.",
  );

/** @param {[string, string[]][]} missing what cannot be done, and the scopes that were not granted */
export function mayNotText(missing) {
  const words = missing.map(([what, scopes]) => `${what} (${scopes.join(", ")})`);
  const last = words.pop();
  const all = words.length ? `${words.join(", ")} or ${last}` : last;
  return `The EHR did not allow this application to ${all}.`;
}

const sentence = (text) => `${text.replace(/[.\s]+$/, "")}.`;
