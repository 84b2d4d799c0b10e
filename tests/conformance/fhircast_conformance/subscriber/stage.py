"""The stage of a scenario: the hub, the application, what was found, and the usual steps."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from fhircast_conformance.check import Blocked, NotApplicable
from fhircast_conformance.subscriber.findings import Findings
from fhircast_conformance.subscriber.session import ANCHOR_KEYS, Refused, target_of
from fhircast_conformance.subscriber.waits import IN_FLIGHT_SECONDS
from fhircast_conformance.subscriber.watch import Watch
from fhircast_conformance.trace import Trace

if TYPE_CHECKING:
    from fhircast_conformance.messages import Case
    from fhircast_conformance.subscriber.application import Application
    from fhircast_conformance.subscriber.lines import Delivery
    from fhircast_conformance.subscriber.played import PlayedHub
    from fhircast_conformance.subscriber.record import Json, Post
    from fhircast_conformance.subscriber.waits import Waits

Body: TypeAlias = Callable[["Stage"], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Scenario:
    """A registered scenario.

    Attributes:
        rows: Rows that it judges by itself.
        gives: Rows that it gives the application an occasion for; the watch judges them.
        title: What must be seen, in words.
        joins: Whether the application must have joined before it begins.
        body: What happens.
    """

    rows: tuple[str, ...]
    gives: tuple[str, ...]
    title: str
    joins: bool
    body: Body

    @property
    def name(self) -> str:
        """Name of the function."""
        return self.body.__name__


class Stage:
    """Where scenarios are played, one after the other.

    Attributes:
        hub: The played hub.
        app: The application.
        waits: Deadlines and watching times.
        findings: Of the scenario that runs.
        say: Tells the operator what goes on.
        is_mute: Whether the application never answered anything: nobody waits for it any more.
    """

    def __init__(
        self,
        hub: PlayedHub,
        app: Application,
        waits: Waits,
        *,
        wanted: frozenset[str],
        actor: str = "",
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.hub = hub
        self.app = app
        self.waits = waits
        self.findings = Findings(wanted)
        self.say = say
        self._wanted = wanted
        self._watch = Watch(hub, self.findings, actor=actor)
        self._judged: set[int] = set()
        self._kind = ""
        self._began_at = 0.0
        self.is_mute = False
        hub.late_seconds = waits.late

    # A scenario begins and ends

    async def begin(self, scenario: Scenario) -> None:
        """Start with clean findings and, if need be, a joined application.

        Raises:
            Blocked, NotApplicable: It did not join.
        """
        self.findings = self._watch.findings = Findings(self._wanted)
        self.hub.trace = Trace()
        self._began_at = self.hub.now()
        if scenario.joins:
            await self.joined()

    async def finish(self) -> None:
        """Take faults away, judge what is not answered yet, close what is open."""
        self.hub.post_fault = self.hub.form_fault = None
        self.hub.deny_joins, self.hub.lease_seconds = "", 7200
        self.hub.errors_about.clear()
        for anchor in list(self.hub.session.contexts):
            await self.send(self.closing(anchor))
        await self.settle()

    async def settle(self) -> None:
        """Wait until every notification is answered or overdue, and judge each once."""
        waiting = [it for it in self.hub.deliveries() if id(it) not in self._judged]
        await self.hub.answered(waiting, 0 if self.is_mute else self.waits.ack)
        for delivery in waiting:
            self._judged.add(id(delivery))
            if self.is_mute and delivery.answer is None:
                continue  # nobody waited for it; that it never answers was judged before
            self._watch.judge_answer(delivery)
        everything = self.hub.deliveries()
        silent = [it for it in everything if it.answer is None and not it.is_lost]
        self.is_mute = bool(silent) and all(it.answer is None for it in everything)

    async def joined(self) -> None:
        """Make sure that the application has a confirmed subscription.

        Raises:
            Blocked: It did not subscribe.
            NotApplicable: It is started by hand, and nobody did it again.
        """
        if self.hub.lines:
            return
        is_back = await self._returns(min(self.waits.quiet, self.waits.rejoin))
        if is_back:
            return
        await self.app.start(self.hub)
        self.say(f"waiting for a subscription to topic {self.hub.topic} ({self.waits.join:g} s)")
        if await self._returns(self.waits.join):
            return
        reason = f"the application did not subscribe and connect within {self.waits.join:g} s"
        if not self.app.starts_by_itself and self.hub.record.connects():
            raise NotApplicable(f"{reason}: it has to be started again by hand")
        raise Blocked(reason)

    async def _returns(self, within: float) -> bool:
        return await self.hub.record.until(lambda: self.hub.lines, within)

    # What the application subscribed to

    @property
    def kind(self) -> str:
        """The anchor type that the application follows: the richest that it subscribed to.

        Raises:
            NotApplicable: It follows none that the kit can play.
        """
        for kind in ("Patient", "ImagingStudy", "DiagnosticReport"):
            if self.hub.wants(f"{kind}-open"):
                self._kind = kind
        if self._kind:
            return self._kind
        raise NotApplicable("the application subscribed to no open that the kit plays")

    def need(self, *events: str) -> None:
        """Go on only if the application subscribed to these events.

        Raises:
            NotApplicable: It did not.
        """
        missing = [it for it in events if not self.hub.wants(it)]
        if missing:
            raise NotApplicable(f"the application did not subscribe to {', '.join(missing)}")

    # What happens in the session

    def opening(self, case: Case, **fields: object) -> Json:
        """Return an open of the case, of the kind that the application follows."""
        make = {
            "DiagnosticReport": case.opens,
            "ImagingStudy": case.opens_study,
            "Patient": case.opens_patient,
        }
        return make[self.kind](self.hub.topic, **fields)

    def anchor(self, case: Case) -> str:
        """Return the anchor of the case, as "Type/id"."""
        resource = {
            "DiagnosticReport": case.report,
            "ImagingStudy": case.study,
            "Patient": case.patient,
        }[self.kind]
        return f"{resource['resourceType']}/{resource['id']}"

    def closing(self, anchor: str) -> Json:
        """Return the close of an open context, whoever opened it."""
        context = self.hub.session.contexts[anchor]
        kind = anchor.partition("/")[0]
        key = ANCHOR_KEYS.get(kind, kind.lower())
        kept = [it for it in context.items if it.get("key") in {key, "patient", "study"}]
        items = [it for it in kept if target_of(it)]
        return self.hub.message(f"{kind}-close", items)

    async def send(self, notification: Json, *, skip: bool = False) -> list[Delivery]:
        """Let another participant ask for something; it is answered later.

        Raises:
            Blocked: The played hub itself does not accept it.
        """
        try:
            return await self.hub.send(notification, skip=skip)
        except Refused as refused:
            raise Blocked(f"a step of the kit was refused: {refused}") from None

    async def follow(self, notification: Json) -> int:
        """Let another participant ask for something; return the application's answer.

        Raises:
            Blocked: It was not sent, or not answered.
        """
        return await self.answer(
            await self.send(notification), str(notification["event"]["hub.event"])
        )

    async def answer(self, deliveries: list[Delivery], name: str) -> int:
        """Return the worst answer to these notifications.

        Raises:
            Blocked: They were not sent, or not answered.
        """
        if not deliveries:
            raise Blocked(f"{name} could not be sent: the application is not connected")
        if not await self.hub.answered(deliveries, 0 if self.is_mute else self.waits.ack):
            raise Blocked(f"{name} was not answered")
        statuses = [it.status for it in deliveries if it.status is not None]
        if not statuses:
            raise Blocked(f"{name} was answered without a status, or the connection was lost")
        return max(statuses)

    # What the application does

    async def act(self, action: str) -> float:
        """Have something done at the application; return since when to look for it.

        Raises:
            NotApplicable: Nobody can do it.
        """
        since = self.hub.now()
        self.say(f"asking the application: {action}")
        if not await self.app.act(action):
            raise NotApplicable(f"needs a user at the application: {action}")
        return since

    async def ask(self, action: str, suffix: str) -> Post:
        """Have something requested at the application, or see it do so by itself.

        Raises:
            NotApplicable: Nobody can do it, and nothing came by itself.
            Blocked: It was done, and no request came of it.
        """
        try:
            since = await self.act(action)
        except NotApplicable:
            since = self._began_at
            await self.hub.record.until(
                lambda: self.hub.record.posts(since, suffix), self.waits.quiet
            )
            if not self.hub.record.posts(since, suffix):
                raise
        return await self.posted(suffix, since)

    async def posted(self, suffix: str, since: float) -> Post:
        """Return the request that the application sent since then.

        Raises:
            Blocked: It sent none in time.
        """
        record = self.hub.record
        if not await record.until(lambda: record.posts(since, suffix), self.waits.action):
            raise Blocked(f"no {suffix} reached the hub within {self.waits.action:g} s")
        post = record.posts(since, suffix)[0]
        if self.hub.post_fault is None:
            await record.until(lambda: post.status is not None, self.waits.action)
        return post

    async def followed_itself(self, post: Post) -> None:
        """Wait until the application answered the broadcast of its own request."""

        def echoes() -> list[Delivery]:
            return [it for it in self.hub.deliveries() if it.id == post.id]

        within = 0 if self.is_mute else self.waits.action
        await self.hub.record.until(
            lambda: echoes() and all(it.is_settled for it in echoes()), within
        )

    async def pass_in_flight(self) -> None:
        """Wait until no request can have been written before what was answered last."""
        await asyncio.sleep(IN_FLIGHT_SECONDS)

    async def quiet(self) -> None:
        """Watch for a while; what happens meanwhile is judged by who looks afterwards."""
        await asyncio.sleep(self.waits.quiet)


_REGISTRY: dict[str, Scenario] = {}


def scenario(
    *rows: str, title: str, gives: tuple[str, ...] = (), joins: bool = True
) -> Callable[[Body], Body]:
    """Register a scenario; they are played in the order of registration."""

    def register(body: Body) -> Body:
        found = Scenario(rows, gives, title, joins, body)
        _REGISTRY[found.name] = found
        return body

    return register


def registered() -> tuple[Scenario, ...]:
    """Return every scenario that was registered, in order."""
    return tuple(_REGISTRY.values())
