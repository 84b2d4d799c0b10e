"""IRA's actors as this package plays them: what each receives, requests, shares, may ask for.

Spec: IRA volume 1, table 53.1-1 and 53.3; IRA-SUB-01, IRA-CC-01, SCO-04.
"""

from __future__ import annotations

from dataclasses import dataclass

from fhircast_subscribers.settings import IRA_EVENTS

WITH_USER = (*IRA_EVENTS, "Home-open", "UserLogout")
"""What an application with a user in front of it receives."""

_JOIN, _OPEN, _CLOSE, _UPDATE, _SELECT = (146, 147, 152, 153, 156), 148, 149, 150, 151


@dataclass(frozen=True, slots=True)
class Actor:
    """One actor, alone or grouped with a Content Creator.

    Attributes:
        name: In IRA's words; the default for `subscriber.name`.
        events: `hub.events` that it subscribes to.
        opens: Whether it opens and closes reports, and launches others.
        shares: Resource types that it puts into `*-update`; none if it is no Content Creator.
        selects: Whether it sends `*-select` for what the user selected.
        resumes: Whether it restores its own state of a report that is resumed.
    """

    name: str
    events: tuple[str, ...] = WITH_USER
    opens: bool = False
    shares: tuple[str, ...] = ()
    selects: bool = False
    resumes: bool = True

    @property
    def slug(self) -> str:
        """The name for file names and command lines."""
        return self.name.lower().replace(" ", "-")

    @property
    def is_content_creator(self) -> bool:
        """Whether it is grouped with one: that supports update or select at least (IRA-CC-01)."""
        return bool(self.shares) or self.selects

    @property
    def requests(self) -> tuple[str, ...]:
        """The events that it requests; a SyncError after a 202 is everybody's (RAD-156)."""
        moves = ("DiagnosticReport-open", "DiagnosticReport-close") if self.opens else ()
        shares = ("DiagnosticReport-update",) if self.shares else ()
        selects = ("DiagnosticReport-select",) if self.selects else ()
        return (*moves, *shares, *selects, "SyncError")

    @property
    def scopes(self) -> tuple[str, ...]:
        """The scopes to ask for: `.read` of what it receives, `.write` of what it requests.

        Nothing more (SCO-04, SMART-02).
        """
        reads = (f"fhircast/{it}.read" for it in self.events)
        return (*reads, *(f"fhircast/{it}.write" for it in self.requests))

    @property
    def transactions(self) -> tuple[int, ...]:
        """The RAD transactions that it initiates, in order; it responds to 154 and 155."""
        moves = (_OPEN, _CLOSE) if self.opens else ()
        content = ((_UPDATE,) if self.shares else ()) + ((_SELECT,) if self.selects else ())
        return tuple(sorted((*_JOIN, *moves, *content)))


IMAGE_DISPLAY = Actor(
    "Image Display",
    opens=True,
    shares=("Observation", "ImagingSelection", "DiagnosticReport", "ImagingStudy"),
    selects=True,
)
REPORT_CREATOR = Actor("Report Creator", opens=True, shares=("DiagnosticReport",))
WORKLIST_CLIENT = Actor("Worklist Client", opens=True)
EVIDENCE_CREATOR = Actor("Evidence Creator", shares=("Observation", "ImagingSelection"))
STATELESS_EVIDENCE_CREATOR = Actor(
    "Stateless Evidence Creator", shares=("Observation", "ImagingSelection"), resumes=False
)
WATCHER = Actor("Watcher", IRA_EVENTS, resumes=False)

ACTORS = (
    IMAGE_DISPLAY,
    REPORT_CREATOR,
    WORKLIST_CLIENT,
    EVIDENCE_CREATOR,
    STATELESS_EVIDENCE_CREATOR,
    WATCHER,
)
