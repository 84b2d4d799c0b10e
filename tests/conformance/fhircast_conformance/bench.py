"""What a check works with: a fresh topic, clients with tokens, set-up steps, judging steps."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from websockets.exceptions import ConnectionClosed, InvalidHandshake

from fhircast_conformance.check import Blocked, NotApplicable, expect, fail
from fhircast_conformance.messages import Case, message, new_case, new_id
from fhircast_conformance.trace import Trace
from fhircast_conformance.wire import Json, Socket, Wire

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable

    import httpx

    from fhircast_conformance.check import Profile
    from fhircast_conformance.tokens import Tokens

FENCE = "org.example.fence"
"""An event that changes nothing: what comes before it is all that came."""

ALL_EVENTS = (
    "Patient-open",
    "Patient-close",
    "Encounter-open",
    "Encounter-close",
    "ImagingStudy-open",
    "ImagingStudy-close",
    "DiagnosticReport-open",
    "DiagnosticReport-close",
    "DiagnosticReport-update",
    "DiagnosticReport-select",
    "Home-open",
    "UserLogout",
    "UserHibernate",
    "SyncError",
)
"""The catalogue of FHIRcast 3.0.0."""

NO_SYNC_ERRORS = tuple(it for it in ALL_EVENTS if it != "SyncError")


_ABOUT_GRANTS = frozenset(
    [
        "CONF-02",
        "REP-02",
        "SYNC-05",
        "EVT-19",
        "SCO-01",
        "SCO-02",
        "SUB-11",
        "SUB-12",
        "D-12",
        "SUB-07",
        "IRA-HUB-05",
    ]
)
"""Rows that a frame which was not granted breaks, or whose checks change what is granted."""


@dataclass(frozen=True, slots=True)
class Timers:
    """How the hub under test is set; the kit waits by these. All in seconds.

    Attributes:
        ack: Until a missing response is a failure (SYNC-08).
        unresponsive_after: Missing responses in a row until a subscriber is ended.
        grace: How long an abnormally closed endpoint may be joined again (D-45).
        ping: Between two WebSocket pings of the hub.
        unused_endpoint: Life of an endpoint to which nobody connects.
        silence: How long to wait where silence cannot be shown by a later message.
        answer: Within which the hub must answer or send a frame that is due.
    """

    ack: float = 10.0
    unresponsive_after: int = 3
    grace: float = 5.0
    ping: float = 15.0
    unused_endpoint: float = 60.0
    silence: float = 1.0
    answer: float = 5.0


@dataclass(frozen=True, slots=True)
class HubUnderTest:
    """The hub and how it is reached.

    Attributes:
        url: `hub.url`.
        profile: By which rules it is judged.
        timers: How it is set.
        tokens: Where tokens come from.
        well_known: Its configuration document, {} if it serves none.
        verify: Trust for TLS.
        takes_unknown_events: Whether it grants the fence event, by which silence is shown quickly.
        is_balanced: Whether it is several processes, and a connection may come to any of them.
    """

    url: str
    profile: Profile
    timers: Timers
    tokens: Tokens
    well_known: Json = field(default_factory=dict)
    verify: ssl.SSLContext | bool = True
    takes_unknown_events: bool = True
    is_balanced: bool = False


class Bench:
    """One check's place of work, with a topic of its own; closes what it opened.

    Attributes:
        hub: The hub under test.
        topic: A topic that nobody else uses.
        timers: How the hub is set.
        profile: By which rules the hub is judged.
        wire: A client whose token allows everything.
        trace: What went over the wire.
    """

    wire: Wire

    def __init__(self, hub: HubUnderTest, rows: tuple[str, ...] = ()) -> None:
        self.hub = hub
        self._is_about_grants = not _ABOUT_GRANTS.isdisjoint(rows)
        self.topic = new_id()
        self.timers = hub.timers
        self.profile = hub.profile
        self.trace = Trace()
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        self.wire = await self.client("requester")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @property
    def is_ira(self) -> bool:
        """Whether the rules of IHE IRA bind."""
        return self.profile == "ira"

    # --- set-up: what goes wrong here leaves the rows undecided -------------------------------

    async def client(
        self,
        name: str,
        *,
        scope: str = "fhircast/*.*",
        topic: str = "",
        seconds: int = 3600,
        subject: str = "",
        token: str | None = None,
    ) -> Wire:
        """Return a client.

        Args:
            name: Its lane in the trace, and `subject` of its token if none is given.
            scope: Scopes of its token.
            topic: Topic to which the token is bound, "" for none.
            seconds: Life of the token.
            subject: Who holds it; "" is the kit itself.
            token: This token instead, "" for none at all.

        Raises:
            NotApplicable: The kit cannot get such a token.
        """
        if token is None:
            token = await self.hub.tokens.get(
                scope=scope, topic=topic, seconds=seconds, subject=subject
            )
        wire = Wire(self.hub.url, token=token, name=name, trace=self.trace, verify=self.hub.verify)
        return await self._stack.enter_async_context(wire)

    async def join(
        self,
        name: str,
        events: Iterable[str] = ALL_EVENTS,
        *,
        topic: str = "",
        wire: Wire | None = None,
        fence: bool = True,
        **more: str,
    ) -> Socket:
        """Subscribe, connect and read the confirmation.

        Args:
            name: `subscriber.name`.
            events: `hub.events`; the fence is added, so that silence can be shown.
            topic: Another topic than the bench's.
            wire: Another client than the bench's.
            fence: Whether the fence is added.
            more: Further form fields, dots written as `__`.

        Raises:
            Blocked: The hub did not go along.
        """
        asked = [*events, FENCE] if fence and self.hub.takes_unknown_events else list(events)
        wire = wire or self.wire
        answer = await wire.subscribe(topic or self.topic, asked, name=name, **more)
        if not answer.is_success:  # that it must be 202 is SUB-14's subject alone
            raise Blocked(f"subscribing was answered {answer.status_code}")
        try:
            socket = await wire.connect(answer.json()["hub.channel.endpoint"], name)
            socket.confirmation = await socket.next()
        except (KeyError, ValueError, OSError, TimeoutError, InvalidHandshake) as error:
            raise Blocked(f"joining failed: {type(error).__name__}") from error
        except ConnectionClosed as closed:
            raise Blocked("the hub closed the socket instead of confirming") from closed
        if socket.confirmation.get("hub.mode") != "subscribe":
            raise Blocked("the first frame is not a confirmation")
        return socket

    async def publish(self, event: Json, wire: Wire | None = None) -> httpx.Response:
        """Post a request that the hub has to accept.

        Raises:
            Blocked: It did not.
        """
        answer = await (wire or self.wire).post(event)
        if not answer.is_success:
            name = event["event"]["hub.event"]
            raise Blocked(f"{name} was answered {answer.status_code}")
        return answer

    async def opened(self, case: Case | None = None, **fields: Any) -> Opened:
        """Open a report context; its version is what a passing observer is shown.

        Raises:
            Blocked: The hub did not go along.
        """
        case = case or new_case()
        event = case.opens(self.topic, **fields)
        observer = await self.join("observer")
        await self.publish(event)
        frame = await self.frame(observer)
        while frame.get("id") != event["id"]:  # contexts that were open already
            frame = await self.frame(observer)
        await self.leave(observer)
        return Opened(case, event, str(frame["event"].get("context.versionId", "")))

    async def leave(self, socket: Socket, wire: Wire | None = None) -> None:
        """Unsubscribe and close, as a subscriber should.

        Raises:
            Blocked: The hub refused.
        """
        answer = await (wire or self.wire).unsubscribe(self.topic, socket.endpoint)
        if not answer.is_success:
            raise Blocked(f"unsubscribing was answered {answer.status_code}")
        await socket.close()

    async def context(self, wire: Wire | None = None) -> Json:
        """Return the current context.

        Raises:
            NotApplicable: The hub declares that it does not support this.
            Blocked: The answer is not 200 with a JSON object.
        """
        self.requires_get()
        answer = await (wire or self.wire).get(self.topic)
        if answer.status_code != 200:
            raise Blocked(f"GET of the current context was answered {answer.status_code}")
        view = answer.json()
        if not isinstance(view, dict):
            raise Blocked("GET of the current context is not a JSON object")
        return view

    async def frame(self, socket: Socket) -> Json:
        """Return the next frame, acknowledged; for set-up.

        Raises:
            Blocked: None came, or the hub closed the socket.
        """
        try:
            return await socket.followed(within=self.timers.answer)
        except TimeoutError as late:
            raise Blocked("a frame that is due did not come") from late
        except ConnectionClosed as closed:
            raise Blocked("the hub closed the socket") from closed

    async def pause(self, seconds: float) -> None:
        """Let time pass that the row itself is about."""
        await asyncio.sleep(seconds)

    # --- what the hub declares ----------------------------------------------------------------

    def requires_get(self) -> None:
        """The rows bind only hubs that support reading the current context.

        Raises:
            NotApplicable: The hub declares that it does not.
        """
        if not self.declares("supportsGetCurrentContext", "getCurrentSupport"):
            raise NotApplicable("the hub does not declare support for GET of the current context")

    def requires_event(self, event: str) -> None:
        """The rows bind only hubs that declare this event.

        Raises:
            NotApplicable: `eventsSupported` does not list it.
        """
        listed = self.hub.well_known.get("eventsSupported")
        if isinstance(listed, list) and event.lower() not in {str(it).lower() for it in listed}:
            raise NotApplicable(f"the hub does not declare {event} in eventsSupported")

    def declares(self, capability: str, older: str = "") -> bool:
        """Whether the well-known document declares a capability; True if it says nothing."""
        flags = self.hub.well_known.get("capabilities")
        if isinstance(flags, dict) and capability in flags:
            return flags[capability] is True
        if older and older in self.hub.well_known:
            return self.hub.well_known[older] is True
        return bool(older)

    # --- judging ------------------------------------------------------------------------------

    async def expect_frame(self, socket: Socket, event: Json | str, why: str = "") -> Json:
        """Judge that the next frame is this event (by id, or by name), acknowledge and return it.

        Raises:
            Failed: Another frame came, or none.
        """
        name = event if isinstance(event, str) else event["event"]["hub.event"]
        due = why or f"{socket.name} must get {name}"
        frame = await self._next(socket, due)
        if isinstance(event, str):
            got = str(frame.get("event", {}).get("hub.event", "another frame"))
            expect(got.lower() == event.lower(), f"{due}; it got {got}")
        else:
            expect(frame.get("id") == event["id"], f"{due}; it got {_named(frame)}")
        if "id" in frame:
            await socket.acknowledge(frame)
        return frame

    async def expect_silence(self, *sockets: Socket, why: str) -> None:
        """Judge that nothing (more) was sent to these sockets.

        Raises:
            Failed: Something was.
        """
        fence = message(self.topic, FENCE, [])
        answer = await self.wire.post(fence)
        for socket in sockets:
            granted = str(socket.confirmation.get("hub.events", "")).split(",")
            if answer.is_success and FENCE in granted:
                frame = await self._next(socket, f"{socket.name} must get the fence event")
                expect(frame.get("id") == fence["id"], f"{why}; {socket.name} got {_named(frame)}")
                await socket.acknowledge(frame)
            else:
                await self.expect_quiet(socket, self.timers.silence, why=why)

    async def expect_quiet(self, socket: Socket, seconds: float, *, why: str) -> None:
        """Judge that nothing is sent to a socket for some time.

        Raises:
            Failed: Something was.
        """
        try:
            frame = await socket.next(within=seconds)
            self._require_granted(socket, frame)
        except TimeoutError:
            return
        except ConnectionClosed:
            fail(f"{why}; the hub closed the socket of {socket.name}")
        fail(f"{why}; {socket.name} got {_named(frame)}")

    async def expect_close(self, socket: Socket, *, within: float = 0.0) -> int:
        """Judge that the hub closes the socket without a further frame; return the close code.

        Raises:
            Failed: It did not.
        """
        try:
            frame = await socket.next(within=within or self.timers.answer)
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd is not None else 1006
        except TimeoutError:
            fail(f"the socket of {socket.name} must be closed; it stays open")
        fail(f"the socket of {socket.name} must be closed; it got {_named(frame)}")

    async def expect_denial(self, socket: Socket, *, within: float = 0.0) -> Json:
        """Judge that the next frame is a denial, and return it.

        Raises:
            Failed: Another frame came, or none.
        """
        due = f"{socket.name} must get a denial"
        frame = await self._next(socket, due, within=within)
        expect(frame.get("hub.mode") == "denied", f"{due}; it got {_named(frame)}")
        return frame

    def expect_refused(self, answer: httpx.Response, *statuses: int, why: str) -> None:
        """Judge that a request was refused, with one of these statuses if any is given.

        Raises:
            Failed: It was not.
        """
        got = answer.status_code
        expect(400 <= got < 600, f"{why}: must be refused; the hub answered {got}")
        wanted = " or ".join(map(str, statuses))
        expect(not statuses or got in statuses, f"{why}: must be {wanted}; the hub answered {got}")

    def expect_accepted(self, answer: httpx.Response, why: str) -> None:
        """Judge that a request was accepted.

        Raises:
            Failed: It was not.
        """
        got = answer.status_code
        expect(answer.is_success, f"{why}: must be accepted; the hub answered {got}")

    async def _next(self, socket: Socket, due: str, *, within: float = 0.0) -> Json:
        try:
            frame = await socket.next(within=within or self.timers.answer)
        except TimeoutError:
            fail(f"{due}; nothing came")
        except ConnectionClosed:
            fail(f"{due}; the hub closed the socket")
        self._require_granted(socket, frame)
        return frame

    def _require_granted(self, socket: Socket, frame: Json) -> None:
        """A hub that sends what was not granted is red in the rows about that, and only there.

        Raises:
            Blocked: The frame is of an event that the socket was not granted.
        """
        granted = str(socket.confirmation.get("hub.events", "")).lower().split(",")
        event = frame.get("event")
        name = str(event.get("hub.event", "")).lower() if isinstance(event, dict) else ""
        if name and granted != [""] and name not in granted and not self._is_about_grants:
            raise Blocked(f"{socket.name} was sent {name}, which it was not granted")


@dataclass(frozen=True, slots=True)
class Opened:
    """A report context that a set-up opened.

    Attributes:
        case: Its resources.
        event: The request.
        version: `context.versionId` that the hub assigned.
    """

    case: Case
    event: Json
    version: str


def _named(frame: Json) -> str:
    if "hub.mode" in frame:
        return f"a frame with hub.mode {frame['hub.mode']}"
    event = frame.get("event")
    name = event.get("hub.event") if isinstance(event, dict) else None
    return f"{name} ({frame.get('id')})" if name else "a frame that is no event"
