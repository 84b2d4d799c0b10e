"""FHIRcast 3.0.0 subscribers: a client library, and the rules of three reference applications.

    async with connect(hub_url, topic, name="My viewer", token=token) as session:
        async for event in session:
            for change in event.changes:
                ...
            await event.answer(200)

Where to look: `client` (connect, HubSession), `adapter` (what an application implements), `viewer`,
`worklist`, `dictation` (the reference applications), `builders` and `content` (what is sent),
`follower` (the replica; pure), `changes` and `sync` (what it tells), `settings`, `errors`.
Underneath: `link` (the connection), `requests` (retry rules), `feed`, `http`, `wire`.
"""

from fhircast_subscribers.adapter import FOLLOWED, RECEIVED, Adapter, Answer, BaseAdapter, follow
from fhircast_subscribers.backoff import Backoff
from fhircast_subscribers.builders import ReportContext, report_context
from fhircast_subscribers.changes import (
    Change,
    ContentChanged,
    ContextClosed,
    ContextOpened,
    ContextUnconfirmed,
    FellBehind,
    LogoutRequested,
    NothingCurrent,
    OtherEvent,
    SelectionChanged,
    SyncChanged,
)
from fhircast_subscribers.client import HubSession, connect
from fhircast_subscribers.content import imaging_selection, measurement
from fhircast_subscribers.contexts import OpenContext
from fhircast_subscribers.dictation import Dictation, Draft, ReportStore
from fhircast_subscribers.errors import (
    InvalidAnswer,
    InvalidContext,
    NoAnswer,
    RefusedLocally,
    RequestRefused,
    SubscriberError,
    SubscriptionEnded,
    VersionStale,
)
from fhircast_subscribers.feed import Received
from fhircast_subscribers.fhir import FhirVersion
from fhircast_subscribers.follower import Follower
from fhircast_subscribers.settings import IRA_EVENTS, ClientSettings
from fhircast_subscribers.sync import Connection, SyncProblem, SyncStatus
from fhircast_subscribers.viewer import Viewer
from fhircast_subscribers.worklist import Row, Worklist

__all__ = [
    "FOLLOWED",
    "IRA_EVENTS",
    "RECEIVED",
    "Adapter",
    "Answer",
    "Backoff",
    "BaseAdapter",
    "Change",
    "ClientSettings",
    "Connection",
    "ContentChanged",
    "ContextClosed",
    "ContextOpened",
    "ContextUnconfirmed",
    "Dictation",
    "Draft",
    "FellBehind",
    "FhirVersion",
    "Follower",
    "HubSession",
    "InvalidAnswer",
    "InvalidContext",
    "LogoutRequested",
    "NoAnswer",
    "NothingCurrent",
    "OpenContext",
    "OtherEvent",
    "Received",
    "RefusedLocally",
    "ReportContext",
    "ReportStore",
    "RequestRefused",
    "Row",
    "SelectionChanged",
    "SubscriberError",
    "SubscriptionEnded",
    "SyncChanged",
    "SyncProblem",
    "SyncStatus",
    "VersionStale",
    "Viewer",
    "Worklist",
    "connect",
    "follow",
    "imaging_selection",
    "measurement",
    "report_context",
]
