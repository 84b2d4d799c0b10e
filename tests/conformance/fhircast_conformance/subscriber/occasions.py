"""The rows that the kit judges, and what an application has to do for each to be judged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fhircast_conformance.subscriber.watch import STATELESS

if TYPE_CHECKING:
    from collections.abc import Sequence

_REQUEST = "a context change request of its own"
_OPEN = "an open of its own"
_CLOSE = "a close of its own"
_UPDATE = "an update of its own"
_SYNC_ERROR = "a SyncError of its own"

OCCASIONS: dict[str, str] = {
    **dict.fromkeys(("SUB-01", "SUB-02", "SUB-03", "SUB-04", "SUB-05"), "a subscribe request"),
    "SUB-10": "a request though a token was given to it",
    "CONF-04": "a lease that is about to end",
    "CONF-07": "a denial",
    "UNS-01": "an unsubscribe",
    "UNS-06": "a normal shutdown",
    "EVT-02": _REQUEST,
    "EVT-07": "a refused request of its own",
    **dict.fromkeys(("EVT-08", "EVT-09"), _REQUEST),
    "EVT-10": "an open that is older than its current context",
    **dict.fromkeys(("EVT-13", "EVT-14", "EVT-15", "EVT-16"), _REQUEST),
    "EVT-17": "an open, close or update of its own",
    "EVT-18": "an open",
    "EVT-20": _OPEN,
    **dict.fromkeys(("ACK-01", "ACK-02"), "a notification"),
    "ACK-04": "a context change that it cannot follow",
    **dict.fromkeys(("SYNC-02", "SYNC-03", "SYNC-04"), _SYNC_ERROR),
    "SYNC-11": "an update from others, or a SyncError of its own",
    "SYNC-12": "an open of its own that others do not follow",
    "TAB-04": "several opens",
    "CONT-02": _UPDATE,
    **dict.fromkeys(("CONT-08", "CONT-09", "CONT-10"), _UPDATE),
    "CONT-11": "an update of its own that removes something",
    "CONT-12": _UPDATE,
    "CONT-13": "an update of its own that removes something",
    "CONT-14": "an update of its own that changes a resource of the open, e.g. the status",
    "CONT-17": _UPDATE,
    "CONT-18": "a gap in the versions",
    "CONT-19": "a large update from others",
    "CONT-20": "an Observation that it shares",
    "CONT-21": "an Observation that it shares",
    "CONT-24": "an update of a context that is not current",
    **dict.fromkeys(("SEL-01", "SEL-03"), "a selection of its own"),
    "INF-01": "a UserLogout of its own",
    "INF-03": "a UserHibernate of its own",
    "PROF-01": "an open of its own with a Patient",
    "PROF-02": "a close of its own with a Patient",
    "PROF-03": "an open or close of its own with a Patient",
    "PROF-04": "an open or close of its own with an Encounter",
    "PROF-05": "an open of its own with an ImagingStudy",
    "PROF-06": "an ImagingStudy-open or -close of its own",
    "PROF-07": "a close of its own with an ImagingStudy",
    "PROF-08": "an open of its own with a DiagnosticReport",
    "PROF-09": "a DiagnosticReport-open of its own",
    "PROF-10": "a close of its own with a DiagnosticReport",
    "PROF-12": "an open",
    "PROF-13": "an Observation or ImagingSelection that it shares",
    "WK-06": "a GET of the well-known document",
    "GEN-02": "a frame of its own that is no answer",
    "IRA-SUB-01": "a subscribe request",
    "IRA-SUB-02": "a subscribe request",
    "IRA-SUB-04": "a gap in the versions",
    "IRA-SUB-05": "selections from others",
    "IRA-SUB-08": "a request that it sends again",
    "IRA-PR-01": "an open of its own with a DiagnosticReport",
    "IRA-PR-02": "an open of its own with a Patient",
    "IRA-PR-03": "an open of its own with an ImagingStudy",
    "IRA-PR-04": "an Observation or ImagingSelection that it shares",
    "IRA-CC-02": _UPDATE,
    "IRA-CC-04": _UPDATE,
    "IRA-EC-02": _REQUEST,
}
"""Rows in the order in which they are reported, with the occasion that each needs."""


def judged_rows(profile: str, only: Sequence[str] = (), actor: str = "") -> list[str]:
    """Return the rows that a run judges.

    Args:
        profile: "base" or "ira"; rows of IRA bind in that profile only.
        only: Ids ("SUB-06") or families ("SUB", "IRA-PR"); empty for all.
        actor: Of IHE IRA.

    Raises:
        ValueError: A word of `only` names none of them.
    """
    bound = [
        row
        for row in OCCASIONS
        if (profile == "ira" or not row.startswith("IRA-"))
        and (row != "IRA-EC-02" or actor == STATELESS)
    ]
    words = [it.strip().upper() for it in only if it.strip()]
    for word in words:
        if word not in bound and word not in {it.rpartition("-")[0] for it in bound}:
            raise ValueError(f"{word}: no row or family that this kit judges in profile {profile}")
    return [it for it in bound if not words or it in words or it.rpartition("-")[0] in words]
