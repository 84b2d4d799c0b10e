"""Every file among the standard's own examples: what it is, or why it must be refused."""

from __future__ import annotations

from enum import Enum

IG = "ig_3_0_0"
FLOW = "ira_flow"


class Kind(Enum):
    """What an example is."""

    EVENT = "an event notification or a context change request"
    FORM = "a form that subscribes or unsubscribes"
    ENDPOINT = "the answer to a form"
    CONFIRMATION = "the frame that confirms a subscription"
    DENIAL = "the frame that ends one"
    RESPONSE = "a subscriber's answer to a notification"
    CURRENT_CONTEXT = "the answer to a GET of the current context"
    WELL_KNOWN = "the document that says what a hub supports"
    RESOURCE = "a FHIR resource; it goes into an event or an answer below"
    CAPABILITY = "a FHIR server's CapabilityStatement"
    EXTENSION = "a context array with an extension; it goes into an event below"
    TOKEN = "an authorization server's answer"


def _kinds(folder: str, kind: Kind, *names: str) -> dict[str, Kind]:
    return {f"{folder}/{name}": kind for name in names}


KINDS: dict[str, Kind] = {
    **_kinds(f"{IG}/2-4-Subscribing", Kind.FORM, "01-form.txt", "05-form.txt"),
    **_kinds(f"{IG}/2-4-Subscribing", Kind.ENDPOINT, "02-endpoint.json", "06-endpoint.json"),
    **_kinds(f"{IG}/2-4-Subscribing", Kind.CONFIRMATION, "03-confirmation.json"),
    **_kinds(f"{IG}/2-4-Subscribing", Kind.DENIAL, "04-denial.json"),
    **_kinds(f"{IG}/2-5-ReceiveEventNotification", Kind.EVENT, "01-patient-open.json"),
    **_kinds(f"{IG}/2-5-ReceiveEventNotification", Kind.RESPONSE, "02-response.json"),
    **_kinds(f"{IG}/2-6-SendEventNotification", Kind.EVENT, "01-patient-close.json"),
    **_kinds(f"{IG}/2-7-Conformance", Kind.WELL_KNOWN, "01-well-known.json"),
    **_kinds(f"{IG}/2-8-Extensions", Kind.EXTENSION, "01-extension.json"),
    **_kinds(
        f"{IG}/2-9-GetCurrentContext",
        Kind.CURRENT_CONTEXT,
        "01-current-context.json",
        "02-current-context.json",
    ),
    **_kinds(f"{IG}/3-2-1-SyncError", Kind.EVENT, "01-syncerror.json"),
    **_kinds(f"{IG}/3-2-2-UserLogout", Kind.EVENT, "01-userlogout.json"),
    **_kinds(f"{IG}/3-2-3-UserHibernate", Kind.EVENT, "01-userhibernate.json"),
    **_kinds(f"{IG}/3-2-5-Home-open", Kind.EVENT, "01-home-open.json"),
    **_kinds(f"{IG}/3-3-1-Patient-open", Kind.EVENT, "01-patient-open.json"),
    **_kinds(f"{IG}/3-3-1-Patient-open-copy", Kind.EVENT, "01-patient-open.json"),
    **_kinds(f"{IG}/3-3-2-Patient-close", Kind.EVENT, "01-patient-close.json"),
    **_kinds(f"{IG}/3-4-1-Encounter-open", Kind.EVENT, "01-encounter-open.json"),
    **_kinds(f"{IG}/3-4-2-Encounter-close", Kind.EVENT, "01-encounter-close.json"),
    **_kinds(
        f"{IG}/3-5-1-ImagingStudy-open",
        Kind.EVENT,
        "01-imagingstudy-open.json",
        "02-imagingstudy-open.json",
    ),
    **_kinds(
        f"{IG}/3-5-2-ImagingStudy-close",
        Kind.EVENT,
        "01-imagingstudy-close.json",
        "02-imagingstudy-close.json",
    ),
    **_kinds(
        f"{IG}/3-6-1-DiagnosticReport-open",
        Kind.EVENT,
        "01-diagnosticreport-open.json",
        "02-diagnosticreport-open.json",
    ),
    **_kinds(f"{IG}/3-6-2-DiagnosticReport-close", Kind.EVENT, "01-diagnosticreport-close.json"),
    **_kinds(
        f"{IG}/3-6-3-DiagnosticReport-update",
        Kind.EVENT,
        "01-diagnosticreport-update.json",
        "02-diagnosticreport-update.json",
        "03-diagnosticreport-update.json",
    ),
    **_kinds(f"{IG}/3-6-4-DiagnosticReport-select", Kind.EVENT, "01-diagnosticreport-select.json"),
    **_kinds(f"{IG}/4-1-launch-scenarios", Kind.TOKEN, "01-token.json", "02-token.json"),
    **_kinds(f"{IG}/fsh", Kind.CAPABILITY, "FHIRcastCapabilityStatement-Example.json"),
    **_kinds(
        f"{IG}/fsh",
        Kind.RESOURCE,
        "FHIRcastContentUpdateBundle-Example.json",
        "FHIRcastDiagnosticReportClose-Example.json",
        "FHIRcastDiagnosticReportOpen-Example.json",
        "FHIRcastEncounterClose-Example.json",
        "FHIRcastEncounterOpen-Example.json",
        "FHIRcastGetCurrentContentBundle-Example.json",
        "FHIRcastHibernateContext-Example.json",
        "FHIRcastImagingStudyClose-Example.json",
        "FHIRcastImagingStudyOpen-Example.json",
        "FHIRcastLogoutContext-Example.json",
        "FHIRcastObservation-Example.json",
        "FHIRcastPatientClose-Example.json",
        "FHIRcastPatientOpen-Example.json",
        "FhircastHubSyncErrorOperationOutcome-Example.json",
        "FhircastSubscriberSyncErrorOperationOutcome-Example.json",
        "ImagingStudyExample.json",
        "OrganizationExample.json",
        "PatientExample.json",
        "PractitionerExample.json",
    ),
    **_kinds(FLOW, Kind.FORM, "form-subscribe.txt", "form-unsubscribe.txt"),
    **_kinds(FLOW, Kind.ENDPOINT, "M01-endpoint.json", "M33-endpoint.json"),
    **_kinds(FLOW, Kind.CONFIRMATION, "M02-confirmation.json", "M28-confirmation.json"),
    **_kinds(FLOW, Kind.DENIAL, "M34-denial.json"),
    **_kinds(FLOW, Kind.RESPONSE, "M24-response.json", "M26-response.json"),
    **_kinds(
        FLOW,
        Kind.CURRENT_CONTEXT,
        "M03-current-context.json",
        "M20-current-context.json",
        "M23-current-context.json",
        "M32-current-context.json",
    ),
    **_kinds(
        FLOW,
        Kind.EVENT,
        "M04-diagnosticreport-open.json",
        "M05-diagnosticreport-open.json",
        "M06-diagnosticreport-update.json",
        "M07-diagnosticreport-update.json",
        "M07a-diagnosticreport-update.json",
        "M08-diagnosticreport-select.json",
        "M09-diagnosticreport-select.json",
        "M10-diagnosticreport-select.json",
        "M11-diagnosticreport-update.json",
        "M12-diagnosticreport-update.json",
        "M13-diagnosticreport-close.json",
        "M14-diagnosticreport-open.json",
        "M15-diagnosticreport-open.json",
        "M16-diagnosticreport-update.json",
        "M17-diagnosticreport-open.json",
        "M18-diagnosticreport-open.json",
        "M19-diagnosticreport-close.json",
        "M21-diagnosticreport-open.json",
        "M22-diagnosticreport-open.json",
        "M25-syncerror.json",
        "M27-syncerror.json",
        "M29-diagnosticreport-update.json",
        "M30-diagnosticreport-update.json",
        "M31-syncerror.json",
    ),
    **{
        f"reading_session_{release}/{step}.json": Kind.EVENT
        for release in ("r4", "r5")
        for step in (
            "1_open",
            "2_share",
            "3_select",
            "4_clear_selection",
            "5_sign_off",
            "6_close",
        )
    },
}
"""Every example by its file; `test_every_file_is_in_the_table` counts them."""

_BAD_TIME = "timestamp: not an ISO 8601 date and time"
_BROKEN = "body: broken JSON"

REFUSED: dict[str, str] = {
    f"{IG}/2-6-SendEventNotification/01-patient-close.published.txt": _BROKEN,
    f"{IG}/3-1-1-template/01-patient-open.json": "context.patient: missing",
    f"{IG}/3-3-1-Patient-open/01-patient-open.published.txt": _BAD_TIME,
    f"{IG}/3-3-1-Patient-open-copy/01-patient-open.published.txt": _BAD_TIME,
    f"{IG}/3-3-2-Patient-close/01-patient-close.published.txt": _BAD_TIME,
    f"{IG}/3-4-1-Encounter-open/01-encounter-open.published.txt": _BAD_TIME,
    f"{IG}/3-4-2-Encounter-close/01-encounter-close.published.txt": _BAD_TIME,
    f"{IG}/3-5-1-ImagingStudy-open/01-imagingstudy-open.published.txt": _BAD_TIME,
    f"{IG}/3-5-1-ImagingStudy-open/02-imagingstudy-open.published.txt": _BAD_TIME,
    f"{IG}/3-5-2-ImagingStudy-close/01-imagingstudy-close.published.txt": _BAD_TIME,
    f"{IG}/3-5-2-ImagingStudy-close/02-imagingstudy-close.published.txt": _BAD_TIME,
    f"{IG}/3-6-1-DiagnosticReport-open/01-diagnosticreport-open.published.txt": _BAD_TIME,
    f"{IG}/3-6-1-DiagnosticReport-open/02-diagnosticreport-open.published.txt": _BROKEN,
    f"{IG}/3-6-2-DiagnosticReport-close/01-diagnosticreport-close.published.txt": _BAD_TIME,
}
"""Events as printed that a hub refuses with 400, and why (EVT-02, EVT-09, EVT-15, GEN-01)."""

UNREADABLE = (
    f"{IG}/2-9-GetCurrentContext/01-current-context.published.txt",
    f"{IG}/4-1-launch-scenarios/02-token.published.txt",
)
"""Other texts that are no JSON as printed."""
