"""PlayedHub: a hub played on purpose, with faults on demand. Real HTTP and WebSockets.

    async with PlayedHub(profile="ira") as hub:
        print(hub.hub_url, hub.topic)
        ...
        await hub.send(case.opens(hub.topic))
        await hub.deny("by the administrator")

It follows the rules of a hub as far as an application can tell, until it is asked not to.
"""

from __future__ import annotations

import asyncio
import secrets
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Self

from websockets.asyncio.server import ServerConnection, serve

from fhircast_conformance.messages import message, new_id
from fhircast_conformance.subscriber.desk import Desk, serving
from fhircast_conformance.subscriber.lines import Delivery, Line
from fhircast_conformance.subscriber.record import Connected, Form, Record
from fhircast_conformance.subscriber.session import Refused, Session, anchor_of
from fhircast_conformance.subscriber.subscriptions import Subscription, Subscriptions
from fhircast_conformance.subscriber.waits import IN_FLIGHT_SECONDS
from fhircast_conformance.trace import Trace

if TYPE_CHECKING:
    from fhircast_conformance.subscriber.record import Json, Post

Fault = int | str
"""A status to answer with; "silent" takes nothing in and never answers; "late" answers late."""


class PlayedHub:
    """One session of one hub, for one application.

    WebSockets are at the port after `port`; `public_host` is the name by which the application
    reaches `host`.

    Attributes:
        hub_url: `hub.url`.
        topic: `hub.topic`.
        token: The bearer token that the application was given, "" for none.
        profile: "base" or "ira".
        record: What the application did.
        trace: The messages, for the report; a scenario begins a new one.
        session: What is open.
        lease_seconds: Granted in confirmations.
        post_fault: What context change requests meet, until it is taken away.
        form_fault: Status that subscribe requests meet, until it is taken away.
        deny_joins: Reason for a denial instead of each confirmation, "" for none (CONF-06).
        late_seconds: How long "late" is.
        shared: Resources that an update may only refer to, by name.
        errors_about: Ids of events that a SyncError stands for: a resend is broadcast again.
    """

    def __init__(
        self,
        *,
        profile: str = "base",
        host: str = "127.0.0.1",
        port: int = 0,
        public_host: str = "",
        topic: str = "",
        token: str | None = None,
        late_seconds: float = 2.0,
    ) -> None:
        self.profile = profile
        self.topic = topic or new_id()
        self.token = secrets.token_urlsafe(24) if token is None else token
        self.record = Record()
        self.trace = Trace()
        self.session = Session(ira=profile == "ira")
        self.lease_seconds = 7200
        self.post_fault: Fault | None = None
        self.form_fault: int | None = None
        self.deny_joins = ""
        self.late_seconds = late_seconds
        self.hub_url = ""
        self.shared: dict[str, Json] = {}
        self.errors_about: set[str] = set()
        self._accepted: dict[str, tuple[Json, Json, Json]] = {}
        self._host, self._port = host, port
        self._public_host = public_host or host
        self._expiring: set[asyncio.Task[None]] = set()
        self._ws_url = ""
        self._subscriptions = Subscriptions(self.topic)
        self._lines: list[Line] = []
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            sockets = await stack.enter_async_context(
                serve(
                    self._endpoint,
                    self._host,
                    self._port + 1 if self._port else 0,
                    compression=None,
                    max_size=None,
                    close_timeout=1,
                )
            )
            ws_port = next(iter(sockets.sockets)).getsockname()[1]
            self._ws_url = f"ws://{self._public_host}:{ws_port}/ws"
            port = await stack.enter_async_context(
                serving(Desk(self).app(), self._host, self._port)
            )
            self.hub_url = f"http://{self._public_host}:{port}/hub"
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        for subscription in self._subscriptions:
            subscription.stop_clock()
        await self._stack.aclose()

    # The application's subscriptions

    @property
    def lines(self) -> list[Line]:
        """The sockets that are open and confirmed."""
        return [it for it in self._lines if it.is_open]

    def wants(self, event_name: str) -> bool:
        """Whether a connected subscription names this event."""
        return any(self._of(line).wants(event_name) for line in self.lines)

    # What it tells

    async def send(self, notification: Json, *, skip: bool = False) -> list[Delivery]:
        """Take in what another participant asked for, and notify the application of it.

        Args:
            notification: The request.
            skip: Take it in, but send nothing: a lost notification.

        Raises:
            Refused: It does not fit what is open: a mistake of the scenario.
        """
        broadcast = self.session.take(notification)
        return [] if skip else await self.notify(broadcast)

    async def notify(self, frame: Json, *, unasked: bool = False) -> list[Delivery]:
        """Send a notification as it is, to every socket whose subscription names the event.

        Args:
            frame: The notification.
            unasked: Send it to every socket, whatever was subscribed to.
        """
        event = frame["event"]
        deliveries = []
        for line in self.lines:
            if not unasked and not self._of(line).wants(str(event["hub.event"])):
                continue
            delivery = Delivery(
                id=str(frame["id"]),
                name=str(event["hub.event"]),
                anchor=anchor_of(event),
                version=str(event.get("context.versionId", "")),
                at=self.now(),
            )
            line.deliveries.append(delivery)
            if await line.send(frame, self.trace):
                deliveries.append(delivery)
            else:
                delivery.is_lost = True
        return deliveries

    async def answered(self, deliveries: list[Delivery], within: float) -> bool:
        """Wait until all of them are answered; return whether they are."""
        return await self.record.until(lambda: all(it.is_settled for it in deliveries), within)

    def deliveries(self) -> list[Delivery]:
        """Return everything that was sent on sockets that are known."""
        return [it for line in self._lines for it in line.deliveries]

    def known_versions(self, anchor: str, at: float) -> set[str]:
        """Return the versions of an anchor that the application knew when it wrote a request.

        Args:
            anchor: "Type/id".
            at: When the request arrived. It came over another connection than the answers do, so it
                may have been under way when the last of them was sent.
        """
        written = at - IN_FLIGHT_SECONDS
        return {
            it.version
            for it in self.deliveries()
            if it.anchor == anchor and it.answer and it.answered_at <= written
        }

    # What goes wrong

    async def deny(self, reason: str, *, code: int = 1008) -> None:
        """End every subscription with a denial, then close (CONF-05)."""
        for line in self.lines:
            await self._deny(line, reason, code)

    async def cut(self) -> None:
        """Cut every TCP connection without a close frame."""
        for line in self.lines:
            line.hang_up()
            line.socket.transport.abort()

    async def close(self, code: int = 1001) -> None:
        """Close every socket; the subscriptions live on."""
        for line in self.lines:
            line.hang_up()
            await line.socket.close(code)

    def end_lease_after(self, seconds: float, subscription: Subscription) -> None:
        """Start the lease of a subscription anew (CONF-03)."""
        subscription.stop_clock()

        def expire() -> None:
            task = asyncio.ensure_future(self._expire(subscription))
            self._expiring.add(task)
            task.add_done_callback(self._expiring.discard)

        subscription.lease_ends = asyncio.get_running_loop().call_later(seconds, expire)

    # What it is asked; called by the desk

    def subscribe(self, form: Form) -> tuple[int, Json | str]:
        """Answer a subscribe request."""
        if self.form_fault is not None:
            return self.form_fault, "the played hub refuses subscriptions now"
        return self._subscriptions.subscribe(form, self._ws_url)

    async def subscribed(self, form: Form) -> None:
        """Confirm a renewal on the socket that is open (D-12)."""
        for line in self.lines:
            if line.endpoint == form.endpoint:
                await self._confirm(line)

    def unsubscribe(self, form: Form) -> tuple[int, Json | str]:
        """Answer an unsubscribe request."""
        return self._subscriptions.unsubscribe(form)

    async def unsubscribed(self, form: Form) -> None:
        """Deny and close what was unsubscribed (UNS-03)."""
        for line in self.lines:
            if line.endpoint == form.endpoint:
                await self._deny(line, "unsubscribed", 1000)

    async def request(self, post: Post) -> tuple[int, Json | str]:
        """Take a context change request in, and notify everybody; once per id (D-28)."""
        if post.id in self._accepted:
            taken, answer, broadcast = self._accepted[post.id]
            if taken != post.message:
                return 409, "id: another event had it (D-28)"
            if post.id in self.errors_about:
                await self.notify(broadcast)
            return 202, answer
        try:
            broadcast = self.session.take(post.message)
        except Refused as refused:
            return refused.status, str(refused)
        version = broadcast["event"].get("context.versionId")
        answer = {"id": post.id} | ({"context.versionId": version} if version else {})
        self._accepted[post.id] = post.message, answer, broadcast
        post.status = 202  # before the broadcast, which may be answered first
        await self.notify(broadcast)
        return 202, answer

    def now(self) -> float:
        """Return seconds of the loop's clock."""
        return asyncio.get_running_loop().time()

    def message(self, event: str, context: list[Json], **fields: Any) -> Json:
        """Return an event of this session."""
        return message(self.topic, event, context, **fields)

    # Inside

    async def _endpoint(self, socket: ServerConnection) -> None:
        endpoint = f"{self._ws_url}/{(socket.request.path if socket.request else '')[4:]}"
        is_valid = self._subscriptions.live(endpoint) is not None
        self.trace.add("application", "hub", "WebSocket connect")
        self.record.add(Connected(self.now(), endpoint, is_valid))
        line = Line(endpoint, socket)
        if not is_valid or self.deny_joins:
            reason = self.deny_joins or "this endpoint is not known"
            await self._deny(line, reason, 1008)
            return
        older = [it for it in self.lines if it.endpoint == endpoint]
        self._lines.append(line)
        await self._confirm(line)
        for it in older:
            it.hang_up()
            await it.socket.close(1008, "replaced")
        await self._replay(line)
        await line.read(self.record, lambda: self.trace, self.now)

    async def _confirm(self, line: Line) -> None:
        subscription = self._of(line)
        self.end_lease_after(self.lease_seconds, subscription)
        await line.send(
            {
                "hub.mode": "subscribe",
                "hub.topic": self.topic,
                "hub.events": ",".join(subscription.events),
                "hub.lease_seconds": self.lease_seconds,
            },
            self.trace,
        )
        self.record.pulse()

    async def _replay(self, line: Line) -> None:
        """Send the current context's open, as it happened (REP-01)."""
        context = self.session.contexts.get(self.session.current)
        if context is None:
            return
        name = f"{context.anchor.partition('/')[0]}-open"
        if not self._of(line).wants(name) or context.opened_at is None:
            return
        version = (context.earlier or [context.version])[0]
        at = context.opened_at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        frame = self.message(
            name,
            context.items,
            timestamp=at,
            id=context.event_id,
            context__versionId=version,
        )
        line.deliveries.append(Delivery(frame["id"], name, context.anchor, version, self.now()))
        await line.send(frame, self.trace)

    async def _deny(self, line: Line, reason: str, code: int) -> None:
        subscription = self._subscriptions.get(line.endpoint)
        if subscription is not None:
            subscription.end()
        line.hang_up()
        frame = {
            "hub.mode": "denied",
            "hub.topic": self.topic,
            "hub.events": ",".join(subscription.events if subscription else ()),
            "hub.reason": reason,
        }
        await line.send(frame, self.trace)
        self.trace.add("hub", "application", f"close {code}")
        await line.socket.close(code, reason)

    async def _expire(self, subscription: Subscription) -> None:
        subscription.end()
        for line in self.lines:
            if line.endpoint == subscription.endpoint:
                await self._deny(line, "lease ended", 1000)

    def _of(self, line: Line) -> Subscription:
        return self._subscriptions[line.endpoint]
