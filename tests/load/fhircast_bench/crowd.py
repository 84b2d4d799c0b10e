"""All subscribers: they come in together, and leave in order."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import msgspec

from fhircast_bench.http_lane import Answer, HttpLane
from fhircast_bench.socket_seat import SocketSeat
from fhircast_bench.target import NoHub, is_on_this_machine, target_of

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable, Sequence

    from fhircast_bench.ledger import Ledger, Sent
    from fhircast_bench.load import Load
    from fhircast_bench.target import Target

_AT_ONCE = 16
"""Subscribers that join at the same moment."""

_LEAVE_SECONDS = 10.0


class NotLetIn(Exception):
    """A subscriber that belongs to the load could not join.

    Attributes:
        answer: What the hub said to the subscribe; None if it was taken and what came then failed.
        joined: Subscribers that were in.
    """

    def __init__(self, said: str, joined: int, answer: Answer | None = None) -> None:
        super().__init__(said)
        self.answer = answer
        self.joined = joined


class _Accepted(msgspec.Struct):
    endpoint: str = msgspec.field(name="hub.channel.endpoint")


@dataclass(slots=True)
class _Member:
    seat: SocketSeat
    topic: str
    endpoint: str


class Crowd:
    """The subscribers of a run.

    Attributes:
        join_seconds: For each that joined: from its subscribe to its confirmation.
        losses: Reasons for which the hub ended subscriptions or connections, and how often.

    Args:
        target: The hub.
        token: Bearer token, "" for none.
        load: How many there are.
        tls: What endpoints of wss may show.
        allow_remote: Whether endpoints may lead to other machines.
    """

    def __init__(
        self, target: Target, token: str, load: Load, tls: ssl.SSLContext, *, allow_remote: bool
    ) -> None:
        self._target = target
        self._token = token
        self._load = load
        self._tls = tls
        self._allow_remote = allow_remote
        self._members: list[_Member] = []
        self._hosts: set[str] = set()
        self.join_seconds: list[float] = []
        self.losses: Counter[str] = Counter()

    @property
    def present(self) -> int:
        """Subscribers whose connection stands."""
        return sum(it.seat.is_open for it in self._members)

    async def join(
        self, topics: Sequence[str], ledger: Ledger, delivered: Callable[[Sent], None]
    ) -> None:
        """Let everybody in.

        Raises:
            NoHub: Nobody answers, or what answers is no hub.
            NotLetIn: Somebody was refused.
        """
        coming = deque(
            (number, seat)
            for seat in range(self._load.subscribers)
            for number in range(len(topics))
        )

        async def let_in(lane: HttpLane) -> None:
            while coming:
                number, subscriber = coming.popleft()
                seat = SocketSeat(
                    number,
                    subscriber,
                    ledger,
                    delivered,
                    acknowledges=self._load.acknowledges,
                    keeps=self._lose,
                )
                await self._let_in(lane, seat, topics[number])

        await self._on_lanes(let_in, min(_AT_ONCE, self._load.subscriptions))

    async def leave(self) -> None:
        """Unsubscribe everybody and close with 1000; whoever is not heard in time is cut off."""
        for member in self._members:
            member.seat.leave()
        going = deque(self._members)

        async def let_go(lane: HttpLane) -> None:
            while going:
                member = going.popleft()
                fields = self._fields("unsubscribe", member.topic)
                form = urlencode(fields | {"hub.channel.endpoint": member.endpoint})
                await lane.ask(form, self._load.patience_seconds)
                member.seat.close()

        try:
            async with asyncio.timeout(_LEAVE_SECONDS + len(going) / 100):
                await self._on_lanes(let_go, min(_AT_ONCE, len(going)))
        except (TimeoutError, NoHub):
            pass  # the hub is gone or too slow: the connections end anyway
        for member in self._members:
            member.seat.close()

    async def _on_lanes(self, work: Callable[[HttpLane], Awaitable[None]], lanes: int) -> None:
        """Do work on several connections at once; the first error ends it all.

        Raises:
            NoHub: There is nobody to connect to.
        """

        async def on_a_lane() -> None:
            lane = HttpLane(self._target, self._token)
            try:
                await lane.open(self._load.patience_seconds)
                await work(lane)
            except OSError as error:  # TimeoutError is one
                why = str(error) or f"not within {self._load.patience_seconds:g} s"
                raise NoHub(f"no answer from {self._target.url}: {why}") from None
            finally:
                lane.close()

        try:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(lanes):
                    tasks.create_task(on_a_lane())
        except* (NoHub, NotLetIn) as errors:
            raise errors.exceptions[0] from None

    async def _let_in(self, lane: HttpLane, seat: SocketSeat, topic: str) -> None:
        began_at = perf_counter()
        fields = self._fields("subscribe", topic) | {
            "hub.events": "Patient-open,Patient-close,SyncError",
            "subscriber.name": f"load test {seat.topic}-{seat.subscriber}",
        }
        answer = await lane.ask(urlencode(fields), self._load.patience_seconds)
        endpoint = self._endpoint_in(answer)
        self._members.append(_Member(seat, topic, endpoint))
        why_not = await seat.join(endpoint, self._tls, self._load.patience_seconds)
        if why_not:
            raise NotLetIn(why_not, len(self.join_seconds))
        self.join_seconds.append(perf_counter() - began_at)

    def _endpoint_in(self, answer: Answer) -> str:
        """Return the endpoint that a subscribe was answered with.

        Raises:
            NotLetIn: The hub refused.
            NoHub: What answered is no hub, or hands out endpoints that lead elsewhere.
        """
        joined = len(self.join_seconds)
        if not 200 <= answer.status < 300:
            raise NotLetIn(answer.said, joined, answer)
        try:
            endpoint = msgspec.json.decode(answer.body, type=_Accepted).endpoint
        except msgspec.MsgspecError:
            raise NoHub(f"{self._target.url} answers, but not as a hub does") from None
        host = target_of(endpoint, self._tls).host
        if host not in self._hosts:
            if not self._allow_remote and not is_on_this_machine(host):
                raise NoHub(f"the hub's endpoints are at {host}, which is another machine")
            self._hosts.add(host)
        return endpoint

    def _fields(self, mode: str, topic: str) -> dict[str, str]:
        return {"hub.channel.type": "websocket", "hub.mode": mode, "hub.topic": topic}

    def _lose(self, why: str) -> None:
        self.losses[why] += 1
