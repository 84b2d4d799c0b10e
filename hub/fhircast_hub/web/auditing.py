"""The seam between requests and the audit trail: one wrapper around the handlers of hub.url.

The handlers leave what they learn about a request in `request.state`: `grant`, `asked` (a form),
`notification` (an event) or `view` (the current context). What is turned away before anybody knows
who calls, for its form or a limit, is no act of an application and makes no entry.
"""

from __future__ import annotations

import socket
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import msgspec

from fhircast_hub import __version__
from fhircast_hub.audit.facts import (
    Act,
    Caller,
    Fact,
    Origin,
    Outcome,
    act_of,
    caller_of,
)
from fhircast_hub.audit.jsonl import AuditFileUnusable, FileSink, JsonlFile
from fhircast_hub.audit.lane import Lane
from fhircast_hub.audit.recorder import Recorder
from fhircast_hub.audit.repository import FhirRepository
from fhircast_hub.config import SettingError, variable_of
from fhircast_hub.protocol.errors import FhircastError, Unauthorized
from fhircast_hub.protocol.messages import reference_key
from fhircast_hub.web.peers import RateLimit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from contextlib import AbstractContextManager

    from starlette.requests import HTTPConnection, Request
    from starlette.responses import Response

    from fhircast_hub.audit.lane import Sink
    from fhircast_hub.clock import Clock
    from fhircast_hub.config import Settings
    from fhircast_hub.protocol.messages import EventNotification
    from fhircast_hub.protocol.subscription import Subscription, SubscriptionRequest
    from fhircast_hub.security.grant import Grant

    Handler = Callable[[Request], Awaitable[Response]]


_REFUSALS_PER_MINUTE = 60
"""Entries about bad tokens of one address; further ones are counted, and told with the next."""
_MAX_UNTOLD = 10_000


class _Head(msgspec.Struct):
    resource_type: str = msgspec.field(name="resourceType", default="")
    id: str = ""


class _Reference(msgspec.Struct):
    reference: str = ""


class _Item(msgspec.Struct):
    key: str
    resource: _Head = msgspec.field(default_factory=_Head)
    reference: _Reference = msgspec.field(default_factory=_Reference)


class _View(msgspec.Struct):
    context: list[_Item]


class Auditing:
    """Makes an entry of every request to hub.url.

    Args:
        recorder: Takes the entries.
        clock: Where the time comes from.
    """

    def __init__(self, recorder: Recorder, clock: Clock) -> None:
        self._recorder = recorder
        self._clock = clock
        self._refusals = RateLimit(_REFUSALS_PER_MINUTE)
        self._untold: dict[str, int] = {}

    def watched(self, handler: Handler) -> Handler:
        """Return a handler whose requests are recorded, whatever becomes of them."""
        if not self._recorder.is_on:
            return handler

        async def watch(request: Request) -> Response:
            with self._recorder.place():
                try:
                    response = await handler(request)
                except FhircastError as error:
                    self._note(request, Outcome(error.status, error.reason))
                    raise
                except BaseException:  # a fault, a client that went away, or the hub's end
                    self._note(request, Outcome(500, "not finished"))
                    raise
                self._note(request, Outcome(response.status_code))
                return response

        return watch

    def place(self) -> AbstractContextManager[None]:
        """Keep a place for the entry of a socket that is opened inside.

        Raises:
            Unavailable: See `Recorder.place`.
        """
        return self._recorder.place()

    def connected(self, connection: HTTPConnection, subscription: Subscription) -> None:
        """A socket was opened at an endpoint; `place` is held."""
        caller = caller_of(subscription.subject, address=address_of(connection))
        fact = Fact(Act.CONNECT, self._clock.utc(), caller=caller, topic=subscription.topic)
        self._recorder.record(fact, has_place=True)

    def published(
        self, address: str, grant: Grant, notification: EventNotification, status: int
    ) -> None:
        """An event was accepted on the express lane; `place` is held."""
        if self._recorder.is_on:
            caller = caller_of(grant.subject, address)
            said = _said_by_event(notification)
            fact = Fact(at=self._clock.utc(), caller=caller, outcome=Outcome(status), **said)
            self._recorder.record(fact, has_place=True)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Record the hub's start and its stop, and write what is recorded in between."""
        async with self._recorder.running():
            self._recorder.record(Fact(Act.START, self._clock.utc()))
            try:
                yield
            finally:
                for address in list(self._untold):
                    self._tell(address)
                self._recorder.record(Fact(Act.STOP, self._clock.utc()))

    def _note(self, request: Request, outcome: Outcome) -> None:
        known = request.state
        grant = getattr(known, "grant", None)
        if grant is None and outcome.status != Unauthorized.status:
            return
        address = address_of(request)
        if grant is None:
            if self._refusals.wait_seconds(address, self._clock.monotonic()):
                self._count_untold(address)
                return
            fact = self._refusal(address, outcome)
        else:
            caller = caller_of(grant.subject, address)
            said = _said(request)
            fact = Fact(at=self._clock.utc(), caller=caller, outcome=outcome, **said)
        self._recorder.record(fact, has_place=True)

    def _refusal(self, address: str, outcome: Outcome) -> Fact:
        """Nothing of a token that proves nothing is kept, nor what its bearer asked for."""
        if more := self._untold.pop(address, 0):
            reason = f"{outcome.reason}; {more} more from this address have no entry of their own"
            outcome = Outcome(outcome.status, reason)
        return Fact(Act.AUTHENTICATE, self._clock.utc(), Caller(address=address), outcome)

    def _count_untold(self, address: str) -> None:
        """Whoever tries without end must not push what others did out of the trail."""
        self._untold[address] = self._untold.pop(address, 0) + 1
        if len(self._untold) > _MAX_UNTOLD:
            self._tell(next(iter(self._untold)))

    def _tell(self, address: str) -> None:
        outcome = Outcome(Unauthorized.status, "Authorization: not valid")
        self._recorder.record(self._refusal(address, outcome))


def make_recorder(settings: Settings, clock: Clock) -> Recorder:
    """Return the audit trail that the settings ask for, its file open.

    Raises:
        SettingError: The file cannot be used.
    """
    sinks: list[Sink] = []
    if settings.audit_file:
        try:
            file = JsonlFile(
                Path(settings.audit_file),
                max_bytes=settings.audit_max_bytes,
                keep=settings.audit_keep,
                now=clock.utc,
            )
        except AuditFileUnusable as error:
            allowed = f"a file that the hub can write ({error})"
            raise SettingError(variable_of("audit_file"), settings.audit_file, allowed) from None
        sinks.append(FileSink(file))
    if settings.audit_fhir_url:
        sinks.append(FhirRepository(settings.audit_fhir_url.rstrip("/")))
    origin = _origin(settings)
    required = settings.audit_required
    lanes = [
        Lane(it, origin, capacity=settings.audit_queue, now=clock.utc, required=required)
        for it in sinks
    ]
    return Recorder(lanes, required=required)


def _origin(settings: Settings) -> Origin:
    scheme = "https" if settings.does_tls else "http"
    base = settings.public_url or f"{scheme}://{settings.host}:{settings.port}"
    return Origin(
        hub_url=base + settings.hub_path,
        site=socket.gethostname(),
        software=f"fhircast-hub {__version__}",
    )


def address_of(connection: HTTPConnection) -> str:
    """Return where a request comes from, "" if that is not known."""
    return connection.client.host if connection.client else ""


def _said(request: Request) -> dict[str, Any]:
    """Return the fields of a fact that tell what was asked for."""
    known = request.state
    if request.method == "GET":
        topic = _topic_of(request)
        view = getattr(known, "view", None)
        return {
            "act": Act.READ,
            "topic": topic,
            "query": urlencode({"hub.topic": topic}),  # never empty: BALP wants one
            "patient": patient_in(view) if view else "",
        }
    if hasattr(known, "asked"):
        return _said_by_form(known.asked)
    if hasattr(known, "notification"):
        return _said_by_event(known.notification)
    return {"act": Act.NOT_UNDERSTOOD, "topic": _topic_of(request)}


def _topic_of(request: Request) -> str:
    """Return the topic in the URL; not what a GET of an endpoint takes for one, which is secret."""
    topic = str(request.path_params.get("topic", ""))
    return "" if topic.startswith("ws/") else topic


def _said_by_form(asked: SubscriptionRequest) -> dict[str, Any]:
    """What a form asked for, as a query: without the endpoint, which opens the session's events."""
    mode = "unsubscribe" if asked.is_unsubscribe else "subscribe"
    form = {
        "hub.mode": mode,
        "hub.topic": asked.topic,
        "hub.events": ",".join(asked.events.values()),
    }
    if asked.lease_seconds:
        form["hub.lease_seconds"] = str(asked.lease_seconds)
    query = urlencode({name: it for name, it in form.items() if it}, safe=",")
    act = Act.UNSUBSCRIBE if asked.is_unsubscribe else Act.SUBSCRIBE
    return {"act": act, "topic": asked.topic, "query": query}


def _said_by_event(notification: EventNotification) -> dict[str, Any]:
    name = notification.name
    return {
        "act": act_of(name),
        "topic": notification.topic,
        "event": name.spelling,
        "event_id": notification.id,
        "version_id": notification.version_id,
        "anchor": _target(notification, name.anchor_key, name.anchor_type or ""),
        "patient": _target(notification, "patient", "Patient"),
    }


def _target(notification: EventNotification, key: str, resource_type: str) -> str:
    """Return the "Type/id" under a key, "" if there is none of that type."""
    targets = (it.target for it in notification.entries(key) if key)
    return next((it for it in targets if it.startswith(f"{resource_type}/")), "")


def patient_in(view: bytes) -> str:
    """Return the "Patient/id" that a GET of the current context told, "" if it told none."""
    try:
        context = msgspec.json.decode(view, type=_View).context
    except msgspec.MsgspecError:
        return ""
    for it in context:
        if it.key == "patient":
            held = f"{it.resource.resource_type}/{it.resource.id}" if it.resource.id else ""
            return held or reference_key(it.reference.reference)
    return ""
