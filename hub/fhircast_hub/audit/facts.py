"""What is audited, as values: who did what to which session, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING
from urllib.parse import unquote

from fhircast_hub.protocol.events import SYNC_ERROR, EventKind

if TYPE_CHECKING:
    from datetime import datetime

    from fhircast_hub.protocol.events import EventName


class Act(Enum):
    """What was done: our code, its display, and the transaction of IHE IRA that it is.

    The transactions of events hold for DiagnosticReport events only; see `Fact.transaction`.
    """

    SUBSCRIBE = ("subscribe", "Subscribe to a session", "RAD-146")
    CONNECT = ("connect", "Connect to the notification channel", "RAD-147")
    OPEN = ("open", "Open a context", "RAD-148")
    CLOSE = ("close", "Close a context", "RAD-149")
    UPDATE = ("update", "Update shared content", "RAD-150")
    SELECT = ("select", "Select shared content", "RAD-151")
    UNSUBSCRIBE = ("unsubscribe", "Unsubscribe from a session", "RAD-152")
    READ = ("read-context", "Read the current context", "RAD-153")
    SYNC_ERROR = ("sync-error", "Tell that a subscriber is out of sync", "RAD-156")
    EVENT = ("event", "Request another event", "")
    NOT_UNDERSTOOD = ("not-understood", "A request that was not understood", "")
    AUTHENTICATE = ("authenticate", "Prove who calls", "")
    ENDED = ("subscription-ended", "The hub ended a subscription", "")
    START = ("start", "The hub started", "")
    STOP = ("stop", "The hub stopped", "")
    LOST = ("entries-lost", "Entries of the audit trail were lost", "")

    def __init__(self, code: str, display: str, transaction: str) -> None:
        self.code = code
        self.display = display
        self.transaction = transaction

    @property
    def is_query(self) -> bool:
        """Whether IHE IRA wants it recorded as Query Information (IRA-HUB-22)."""
        return self in {Act.SUBSCRIBE, Act.UNSUBSCRIBE, Act.READ}

    @property
    def is_of_hub(self) -> bool:
        """Whether the hub itself did it."""
        return self in {Act.ENDED, Act.START, Act.STOP, Act.LOST}


_ACT_OF_KIND = {
    EventKind.OPEN: Act.OPEN,
    EventKind.CLOSE: Act.CLOSE,
    EventKind.UPDATE: Act.UPDATE,
    EventKind.SELECT: Act.SELECT,
}


def act_of(name: EventName) -> Act:
    """Return what requesting this event is."""
    return Act.SYNC_ERROR if name == SYNC_ERROR else _ACT_OF_KIND.get(name.kind, Act.EVENT)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who did it; each "" where it is not known.

    Attributes:
        user: `sub` of the token.
        client: `client_id` of the token.
        address: Network address that the request came from.
        issuer: `iss` of the token: the same user name at two issuers is two people.
    """

    user: str = ""
    client: str = ""
    address: str = ""
    issuer: str = ""


def caller_of(subject: str, address: str = "") -> Caller:
    """Return the caller that a grant tells, or a subscription.

    Args:
        subject: "issuer|user|client" as `security.claims` joins them, or "user|client" of a token
            without an issuer; of anything else nobody is known.
        address: Network address.
    """
    match [unquote(it) for it in subject.split("|")]:
        case [issuer, user, client]:
            return Caller(user, client, address, issuer)
        case [user, client]:
            return Caller(user, client, address)
        case _:
            return Caller(address=address)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it ended.

    Attributes:
        status: HTTP status of the answer, 0 where there was none.
        reason: Of a refusal or an ending, in words; names fields, never their values.
    """

    status: int = 0
    reason: str = ""

    @property
    def code(self) -> str:
        """The code of R4: 0 success, 4 refused, 8 nobody known called, or the hub failed."""
        if self.status < 400:
            return "0"
        return "8" if self.status == 401 or self.status >= 500 else "4"


@dataclass(frozen=True, slots=True)
class Fact:
    """One entry of the audit trail.

    Attributes:
        act: What was done.
        at: When, aware UTC.
        caller: By whom.
        outcome: With what result.
        topic: Of which session, "" if none is known.
        query: What was asked for, as text; for queries only.
        event: Name of the event.
        event_id: Its id.
        version_id: The version that the request is based on.
        anchor: The anchor context, "Type/id".
        patient: The patient, "Patient/id".
    """

    act: Act
    at: datetime
    caller: Caller = field(default_factory=Caller)
    outcome: Outcome = field(default_factory=Outcome)
    topic: str = ""
    query: str = ""
    event: str = ""
    event_id: str = ""
    version_id: str = ""
    anchor: str = ""
    patient: str = ""

    @property
    def transaction(self) -> str:
        """The transaction of IHE IRA, "" if it is none: of other contexts IRA knows nothing."""
        if self.act in _ACT_OF_KIND.values() and not self.event.startswith("DiagnosticReport-"):
            return ""
        return self.act.transaction


@dataclass(frozen=True, slots=True)
class Origin:
    """The hub that recorded it.

    Attributes:
        hub_url: `hub.url`.
        site: Host that it runs at.
        software: Name and version.
    """

    hub_url: str
    site: str
    software: str
