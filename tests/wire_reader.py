"""A `Wire` on a real socket, and what it makes of bytes."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, cast

from client_frames import Told
from fhircast_hub.web.crowd import ConnectionLimits, Crowd
from fhircast_hub.web.frames import text_frame
from fhircast_hub.web.wire import Exchange, Wire

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fhircast_hub.fanout import Link

A_LINK = cast("Link", object())
"""What is heard is for this one; nothing is asked of it here."""


class Ear:
    """Notes what is heard; a `Listener`."""

    def __init__(self, *, echoes: bool) -> None:
        self.told = Told()
        self._echoes = echoes

    def heard(self, wire: Wire, link: Link, message: bytes, *, is_text: bool) -> None:
        assert link is A_LINK
        self.told.messages.append((message, is_text))
        if self._echoes:
            assert wire.put(message)

    def flooded(self, _link: Link) -> None:
        raise AssertionError("there is no bound")

    def left(self, _wire: Wire, _link: Link, code: int) -> None:
        assert not self.told.code
        self.told.code = code


async def told_by_a_wire(
    pieces: Iterable[bytes], *, notified: int = 0, echoes: bool = False
) -> Told:
    """Have a wire read the pieces, one after the other, and see what it answers.

    Args:
        pieces: As they come.
        notified: Notifications that the subscriber was sent before.
        echoes: Whether each message is sent back.
    """
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    with theirs:
        transport, _ = await loop.connect_accepted_socket(asyncio.Protocol, ours)
        exchange = Exchange(
            limits=ConnectionLimits(max_frames_per_second=0),
            max_frames=100,
            max_bytes=1_000_000,
            ping_seconds=0,
            crowd=Crowd(max_total=0, max_per_peer=0),
            now=loop.time,
        )
        exchange.crowd.enter("")
        ear = Ear(echoes=echoes)
        wire = Wire(transport, exchange, ear, peer="", connections=set())
        transport.set_protocol(wire)
        wire.link = A_LINK
        for _ in range(notified):
            assert wire.put(b"{}")
        for it in pieces:
            if not transport.is_closing():
                wire.data_received(it)
        theirs.setblocking(False)
        with suppress(BlockingIOError):
            ear.told.sent = theirs.recv(1_000_000).removeprefix(text_frame(b"{}") * notified)
        wire.link = None
        transport.abort()
    return ear.told
