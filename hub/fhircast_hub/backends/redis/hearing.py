"""What the server publishes, for the topics that this process follows; and never a silent loss."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Any, Protocol

from redis.exceptions import AskError, ResponseError

from fhircast_hub.backends.redis import keys
from fhircast_hub.backends.redis.commands import away
from fhircast_hub.backends.redis.line import Line
from fhircast_hub.backends.redis.place import Place, Verdict
from fhircast_hub.backends.redis.server import Lost
from fhircast_hub.protocol.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from fhircast_hub.backends.redis.commands import Commands
    from fhircast_hub.backends.redis.server import Server

logger = logging.getLogger(__name__)

_UNUSED_SECONDS = 60
"""How long a topic is followed without need: subscribers come back, and one may be on its way."""

_CHANNELS_AT_ONCE = 500


class Ear(Protocol):
    """Who is told what is heard."""

    def needs(self, topic: str) -> bool:
        """Tell whether anybody here depends on hearing all of a topic."""
        ...

    def take(self, topic: str, place: Place, payload: bytes) -> None:
        """Something was published for a topic, and nothing before it was missed."""
        ...

    def missed(self, topic: str, *, is_gone: bool) -> None:
        """Something of a topic was missed, or its session is gone altogether."""
        ...


@dataclass(slots=True)
class _Followed:
    topic: str
    asked_at: float
    place: Place = field(default_factory=Place)
    is_confirmed: asyncio.Event = field(default_factory=asyncio.Event)


class Hearing:
    """Follows topics over a line of its own.

    After a break every topic that is followed is looked at: if it published meanwhile, what it was
    is lost, and the ear is told. A server that was started meanwhile may have been put back, and
    have counted to the same number in another way: the ear is told of all topics. If the break is a
    long one it is told of all of them at once, for nobody knows what happens there.
    """

    def __init__(
        self,
        server: Server,
        commands: Commands,
        ear: Ear,
        moved: Callable[[], None] = lambda: None,
    ) -> None:
        """Make one.

        Args:
            server: Whom to hear.
            commands: Asks the same server.
            ear: Who is told.
            moved: Called when the server says that a topic is no longer its own.
        """
        s = b"s" if server.store.kind == "cluster" else b""
        self._message, self._is_subscribed, self._is_left = (
            s + it for it in (b"message", b"subscribe", b"unsubscribe")
        )
        self._subscribe, self._unsubscribe = (
            (s + it).decode().upper() for it in (b"subscribe", b"unsubscribe")
        )
        self._server = server
        self._moved = moved
        self._leaving: set[bytes] = set()
        self._timeout = server.timeout_seconds
        self._away_seconds = server.away_seconds
        self._commands = commands
        self._ear = ear
        self._line = Line(server, self)
        self._followed: dict[bytes, _Followed] = {}
        self._pongs: deque[asyncio.Future[None]] = deque()
        self._is_up = asyncio.Event()
        self._server_run = b""
        self._is_refused = False
        self._giving_up: asyncio.TimerHandle | None = None

    @property
    def is_up(self) -> bool:
        """Whether all that is published for the followed topics is heard."""
        return self._is_up.is_set()

    async def run(self) -> None:
        """Serve until cancelled."""
        try:
            await self._line.run()
        finally:
            self._stop_giving_up()

    async def follow(self, topic: str) -> None:
        """Hear all that is published for a topic from now on.

        Raises:
            Unavailable: It cannot be heard now.
        """
        channel = keys.of_topic(topic).channel
        now = asyncio.get_running_loop().time()
        it = self._followed.setdefault(channel.encode(), _Followed(topic, now))
        it.asked_at = now
        try:
            async with asyncio.timeout(self._timeout):
                await self._is_up.wait()
                if not it.is_confirmed.is_set():
                    self._line.send(self._subscribe, channel)
                    await it.is_confirmed.wait()
        except (TimeoutError, Lost, OverflowError):
            raise away() from None
        if not (it.place.is_known and self._ear.needs(topic)):
            [(life, number)] = await self._look_at([topic])
            it.place.start(life, number)
        if self._followed.get(channel.encode()) is not it:
            raise away()  # given up meanwhile

    def cut(self) -> None:
        """Give the connection up, and make a new one."""
        self._line.cut()

    def place_of(self, topic: str) -> Place | None:
        """Return where this process is in what a topic publishes, None if it does not follow it."""
        it = self._followed.get(keys.of_topic(topic).channel.encode())
        return it.place if it is not None else None

    def leave_unused(self) -> None:
        """Follow no more what nobody here has needed for a while."""
        if not self._is_up.is_set():
            return
        latest = asyncio.get_running_loop().time() - _UNUSED_SECONDS
        for channel, it in list(self._followed.items()):
            if it.asked_at < latest and not self._ear.needs(it.topic):
                try:
                    self._leave(channel)
                except (Lost, OverflowError):
                    return

    def leave_moved(self, is_here: Callable[[bytes], bool]) -> None:
        """Follow no more what is at another server now; whoever needs it has missed something.

        A server drops the subscriptions of a slot that it no longer has by itself.

        Args:
            is_here: Tells whether a channel still is of this server.
        """
        for channel in [it for it in self._followed if not is_here(it)]:
            it = self._followed.pop(channel)
            self._ear.missed(it.topic, is_gone=False)

    async def catch_up(self) -> None:
        """Return when all is heard that was published before.

        Raises:
            Unavailable: That cannot be told.
        """
        try:
            await self._ping()
        except Lost:
            raise away() from None

    # See `Talker`.

    async def greet(self) -> None:
        """Follow what was followed before, see what was missed, then keep asking for a sign."""
        if self._is_refused:  # as with a server that takes no scripts, not at once again
            self._is_refused = False
            await asyncio.sleep(self._timeout)
        # Those of one slot at once: a cluster takes no others together.
        by_slot = sorted(self._followed, key=_slot_of)
        for _, group in groupby(by_slot, key=_slot_of):
            channels = list(group)
            for start in range(0, len(channels), _CHANNELS_AT_ONCE):
                self._line.send(self._subscribe, *channels[start : start + _CHANNELS_AT_ONCE])
        await self._ping()
        await self._see_what_was_missed()
        self._is_up.set()
        logger.info("Redis is reached")
        self._stop_giving_up()
        while True:  # a connection may be gone without a word, and nothing else would tell
            await asyncio.sleep(self._timeout)
            await self._ping()
            await self._see_whom_we_hear()

    def heard(self, answer: Any) -> None:
        """See `Talker.heard`."""
        if isinstance(answer, ResponseError):
            if isinstance(answer, AskError):
                self._moved()
            else:
                logger.error("Redis lets nobody listen")
            self._is_refused = True
            self._line.cut()
            return
        kind, *rest = answer if isinstance(answer, list) else [answer]
        if kind == self._message:
            self._published(*rest)
        elif kind == self._is_subscribed:
            it = self._followed.get(rest[0])
            if it is not None:
                it.is_confirmed.set()
        elif kind == self._is_left:
            self._was_left(rest[0])
        elif kind in {b"pong", b"PONG"}:
            pong = self._pongs.popleft()
            if not pong.done():
                pong.set_result(None)

    def hung_up(self) -> None:
        """See `Talker.hung_up`."""
        self._is_up.clear()
        self._leaving.clear()
        for it in self._followed.values():
            it.is_confirmed.clear()
        pongs, self._pongs = self._pongs, deque()
        for pong in pongs:
            if not pong.done():
                pong.set_exception(Lost())
                pong.exception()  # whoever has given up on it leaves nothing to be told
        if self._giving_up is None:
            loop = asyncio.get_running_loop()
            self._giving_up = loop.call_later(self._away_seconds, self._give_up)

    def _leave(self, channel: bytes) -> None:
        self._line.send(self._unsubscribe, channel)
        self._leaving.add(channel)
        del self._followed[channel]

    def _was_left(self, channel: bytes) -> None:
        """A channel is no longer heard: as was asked, or else because its slot has moved."""
        if channel in self._leaving:
            self._leaving.discard(channel)
            return
        it = self._followed.pop(channel, None)
        if it is not None:
            self._ear.missed(it.topic, is_gone=False)
            self._moved()

    def _published(self, channel: bytes, message: bytes) -> None:
        it = self._followed.get(channel)
        if it is None:
            return
        life, number, payload = message.split(b" ", 2)
        verdict = it.place.hear(life, int(number))
        if verdict is Verdict.TAKE:
            self._ear.take(it.topic, it.place, payload)
        else:
            self._tell(it, verdict)

    def _tell(self, it: _Followed, verdict: Verdict) -> None:
        if verdict in {Verdict.LOST, Verdict.GONE}:
            self._ear.missed(it.topic, is_gone=verdict is Verdict.GONE)

    async def _ping(self) -> None:
        pong: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        try:
            self._line.send("PING")
            self._pongs.append(pong)
            async with asyncio.timeout(self._timeout):
                await pong
        except (TimeoutError, OverflowError):
            raise Lost from None

    async def _see_what_was_missed(self) -> None:
        followed = list(self._followed.values())
        before = [it.place.number for it in followed]
        try:
            looks = await self._look_at([it.topic for it in followed])
        except Unavailable:
            raise Lost from None
        if self._commands.run_id != self._line.run_id:
            self._commands.cut()
            raise Lost  # who is asked is not who is heard
        run, known_run = self._line.run_id, self._server_run
        await self._ping()  # what they count is heard now, if it can be
        self._server_run = run
        for it, (life, number), heard in zip(followed, looks, before, strict=True):
            relies, verdict = it.place.is_known, it.place.compare(life, number, before=heard)
            is_doubtful = relies and verdict is Verdict.SKIP and run != known_run
            self._tell(it, Verdict.LOST if is_doubtful else verdict)

    async def _see_whom_we_hear(self) -> None:
        """Give both lines up if they lead to two servers, or to one that is no longer meant.

        What is published at one is not heard at the other, and no number would be missing.
        """
        is_same = not self._commands.is_up or self._commands.run_id == self._line.run_id
        if not (is_same and await self._server.is_current(self._line.address)):
            logger.warning("another Redis is the master now")
            self._commands.cut()
            raise Lost

    async def _look_at(self, topics: list[str]) -> list[tuple[bytes, int]]:
        asked = [("HMGET", keys.of_topic(it).session, "life", "number") for it in topics]
        answers = await self._commands.ask_all([tuple(it) for it in asked])
        return [(life or b"", int(number or 0)) for life, number in answers]

    def _give_up(self) -> None:
        logger.warning("Redis is away: subscribers are told that sync is lost")
        followed, self._followed = self._followed, {}
        for it in followed.values():
            self._ear.missed(it.topic, is_gone=False)

    def _stop_giving_up(self) -> None:
        if self._giving_up is not None:
            self._giving_up.cancel()
            self._giving_up = None


def _slot_of(channel: bytes) -> int:
    return keys.slot_of(channel.decode())
