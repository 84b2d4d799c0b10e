// The three applications: who they are, and the scopes each needs, with what it needs them for.
// An application asks for these and no more (SCO-04); what is not granted is told in these words.

import { readScope, writeScope } from "./scopes.js";

/** All apps subscribe to the same set, so that the hub need not translate for any of them. */
export const EVENTS = [
  "DiagnosticReport-open",
  "DiagnosticReport-close",
  "DiagnosticReport-update",
  "DiagnosticReport-select",
  "ImagingStudy-open",
  "ImagingStudy-close",
  "Patient-open",
  "Patient-close",
  "Home-open",
  "UserLogout",
  "SyncError",
];

const FOLLOW = { "follow the other applications": EVENTS.map(readScope) };
/** An open that this app had refused is sent again, so that the others' warnings end (D-28). */
const REPEAT = {
  "ask the others to follow again": [
    writeScope("DiagnosticReport-open"),
    writeScope("ImagingStudy-open"),
  ],
};

export const APPS = {
  worklist: {
    clientId: "demo-worklist",
    name: "Demo Worklist",
    title: "Worklist",
    needs: {
      ...FOLLOW,
      "read the worklist": [
        "user/ServiceRequest.rs",
        "user/Patient.rs",
        "user/ImagingStudy.rs",
        "user/DiagnosticReport.rs",
      ],
      "open reports": [writeScope("DiagnosticReport-open")],
      "open images": [writeScope("ImagingStudy-open")],
      "close cases": [writeScope("DiagnosticReport-close"), writeScope("ImagingStudy-close")],
      "put back what was shared when the hub has restarted": [writeScope("DiagnosticReport-update")],
    },
  },
  viewer: {
    clientId: "demo-viewer",
    name: "Demo Viewer",
    title: "Viewer",
    needs: {
      ...FOLLOW,
      "load images": ["user/ImagingStudy.rs"],
      "share measurements": [writeScope("DiagnosticReport-update")],
      "select measurements for all": [writeScope("DiagnosticReport-select")],
      "tell the others what it cannot show": [writeScope("SyncError")],
      ...REPEAT,
    },
  },
  dictation: {
    clientId: "demo-dictation",
    name: "Demo Dictation",
    title: "Dictation",
    needs: {
      ...FOLLOW,
      "read reports": ["user/DiagnosticReport.rs"],
      "save reports": ["user/DiagnosticReport.cu", "user/Observation.cu"],
      "share reports": [writeScope("DiagnosticReport-update")],
      "close reports": [writeScope("DiagnosticReport-close")],
      ...REPEAT,
    },
  },
};

/** Every scope an application asks for; online_access: a fresh token while the user is signed in. */
export const scopesOf = (app) => [
  "online_access",
  ...new Set(Object.values(APPS[app].needs).flat()),
];
