"""FHIRcast 3.0.0 subscribers: a client library, and the rules of the reference applications.

    async with connect(hub_url, topic, name="My viewer", token=token) as session:
        async for event in session:
            for change in event.changes:
                ...
            await event.answer(200)

Where to look: `client` (connect, HubSession), `adapter` (what an application implements), `viewer`,
`worklist`, `dictation`, `evidence`, `watcher` (the reference applications), `actors` (who does
what), `builders`, `content`, `infrastructure` (what is sent), `launch`, `smart`, `discovery` (how a
session is found), `follower` (the replica; pure), `changes` and `sync` (what it tells), `settings`,
`errors`.
Underneath: `link` (the connection), `requests` (retry rules), `catalogue` and `profiles` (what may
leave), `feed`, `http`, `wire`.
"""

from fhircast_subscribers.actors import ACTORS, Actor
from fhircast_subscribers.adapter import FOLLOWED, RECEIVED, Adapter, Answer, BaseAdapter, follow
from fhircast_subscribers.backoff import Backoff
from fhircast_subscribers.builders import (
    AnchorContext,
    ReportContext,
    encounter_context,
    patient_context,
    report_context,
    study_context,
)
from fhircast_subscribers.capability import capability_statement
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
from fhircast_subscribers.content import imaging_selection, measurement, text_note
from fhircast_subscribers.contexts import OpenContext
from fhircast_subscribers.dictation import Dictation, Draft, ReportStore
from fhircast_subscribers.discovery import HubConfiguration, hub_url_of
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
from fhircast_subscribers.evidence import EvidenceCreator
from fhircast_subscribers.feed import Received
from fhircast_subscribers.fetching import FhirFetch
from fhircast_subscribers.fhir import FhirVersion
from fhircast_subscribers.follower import Follower
from fhircast_subscribers.launch import Launch, new_topic, read_launch
from fhircast_subscribers.settings import IRA_EVENTS, ClientSettings
from fhircast_subscribers.sync import Connection, SyncProblem, SyncStatus
from fhircast_subscribers.viewer import Viewer
from fhircast_subscribers.watcher import Watched, Watcher
from fhircast_subscribers.worklist import Row, Worklist

__all__ = [
    "ACTORS",
    "FOLLOWED",
    "IRA_EVENTS",
    "RECEIVED",
    "Actor",
    "Adapter",
    "AnchorContext",
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
    "EvidenceCreator",
    "FellBehind",
    "FhirFetch",
    "FhirVersion",
    "Follower",
    "HubConfiguration",
    "HubSession",
    "InvalidAnswer",
    "InvalidContext",
    "Launch",
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
    "Watched",
    "Watcher",
    "Worklist",
    "capability_statement",
    "connect",
    "encounter_context",
    "follow",
    "hub_url_of",
    "imaging_selection",
    "measurement",
    "new_topic",
    "patient_context",
    "read_launch",
    "report_context",
    "study_context",
    "text_note",
]
