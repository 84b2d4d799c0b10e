"""Frames as a client sends them, made by `websockets`, right and wrong ones."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hypothesis import strategies as st
from websockets.exceptions import InvalidState
from websockets.frames import Close, Frame, Opcode
from websockets.protocol import Protocol, Side, State

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAX_BYTES = 65_536
SIZES = (0, 1, 5, 124, 125, 126, 127, 200, 65_535, 65_536)


def masked(opcode: Opcode, payload: bytes = b"", *, fin: bool = True) -> bytes:
    """A frame with a mask of its own."""
    return Frame(opcode, payload, fin).serialize(mask=True)


def any_frame(first: int, payload: bytes = b"") -> bytes:
    """A short frame with any first byte, allowed or not; the mask is zero."""
    return bytes([first, 0x80 | len(payload)]) + bytes(4) + payload


def acknowledgement(id: str = "e-1", status: str = "200") -> bytes:
    return masked(Opcode.TEXT, f'{{"id":"{id}","status":"{status}"}}'.encode())


def closing(code: int = 1000, reason: str = "") -> bytes:
    return masked(Opcode.CLOSE, Close(code, reason).serialize())


def in_pieces(opcode: Opcode, payload: bytes, cuts: Iterable[int]) -> list[bytes]:
    """A message in fragments."""
    pieces = list(cut(payload, cuts))
    opcodes = [opcode, *[Opcode.CONT] * (len(pieces) - 1)]
    return [
        masked(of, it, fin=number == len(pieces))
        for number, (of, it) in enumerate(zip(opcodes, pieces, strict=True), 1)
    ]


def cut(data: bytes, places: Iterable[int]) -> Iterator[bytes]:
    """Cut bytes at these places, modulo their size."""
    at = sorted({it % (len(data) + 1) for it in places} | {len(data)})
    yield from (data[a:b] for a, b in zip([0, *at[:-1]], at, strict=True))


TEXTS = st.one_of(
    st.text(max_size=130).map(str.encode), st.sampled_from(SIZES).map(lambda size: b"x" * size)
)
CONTROL = st.builds(masked, st.sampled_from([Opcode.PING, Opcode.PONG]), st.binary(max_size=125))
KINDS = st.sampled_from([Opcode.TEXT, Opcode.BINARY])
WHOLE = st.builds(masked, KINDS, TEXTS)


@st.composite
def fragmented(draw: st.DrawFn) -> bytes:
    """A message in fragments, with control frames in between."""
    places = draw(st.lists(st.integers(0, 130), max_size=3))
    pieces = in_pieces(draw(KINDS), draw(TEXTS), places)
    return b"".join(it + b"".join(draw(st.lists(CONTROL, max_size=2))) for it in pieces)


RIGHT = st.one_of(WHOLE, WHOLE, CONTROL, fragmented())
LAST = st.one_of(
    st.just(b""),
    st.builds(closing, st.sampled_from([1000, 1001, 1008, 3000, 4999]), st.text(max_size=20)),
    st.sampled_from(
        [
            masked(Opcode.CLOSE),
            any_frame(0xC1, b"{}"),  # reserved bits
            any_frame(0x99),
            any_frame(0x09, b"x"),  # a ping in fragments
            masked(Opcode.TEXT, b"\xff"),
            masked(Opcode.TEXT, b"\xc3" * 200),
            masked(Opcode.TEXT, b"{", fin=False) + masked(Opcode.TEXT, b"}"),
            masked(Opcode.TEXT, b"{", fin=False) + masked(Opcode.BINARY, b"}"),
            masked(Opcode.TEXT, b"\xc3", fin=False) + masked(Opcode.CONT, b"\xc3"),
            masked(Opcode.CONT, b"}"),
            masked(Opcode.TEXT, b"x" * (MAX_BYTES + 1)),
            masked(Opcode.TEXT, b"x" * MAX_BYTES, fin=False) + masked(Opcode.CONT, b"x"),
            b"\x81\x01x",  # without a mask
            any_frame(0x83),  # an opcode that nobody knows
            any_frame(0x8B),
            any_frame(0x88, b"\x03"),  # half a close code
            any_frame(0x88, b"\x03\xed"),  # 1005, which nobody may send
            any_frame(0x88, b"\x03\xe8\xff"),  # words that are no UTF-8
            b"\x89\xfe\x00\x7e\0\0\0\0" + b"x" * 126,  # too long for a ping
            b"\x81\xff\x80\0\0\0\0\0\0\0\0\0\0\0",  # longer than anything
            b"\x81\x85\0\0\0",  # half a frame
        ]
    ),
)
SEQUENCES = st.builds(
    lambda frames, last: b"".join(frames) + last, st.lists(RIGHT, max_size=8), LAST
)
PLACES = st.lists(st.integers(0, 3000), max_size=12)


@dataclass
class Told:
    """What a reader makes of bytes.

    Attributes:
        messages: And whether each is text.
        code: With which the connection ended, 0 if it goes on.
        sent: What was answered.
    """

    messages: list[tuple[bytes, bool]] = field(default_factory=list)
    code: int = 0
    sent: bytes = b""


def told_by_websockets(data: bytes) -> Told:
    """Read with the parser of `websockets` alone, as a server does."""
    conn = Protocol(Side.SERVER, state=State.OPEN, max_size=MAX_BYTES)
    told = Told()
    conn.receive_data(data)
    parts: list[bytes] = []
    is_text = True
    for frame in conn.events_received():
        assert isinstance(frame, Frame)
        if frame.opcode in {Opcode.TEXT, Opcode.BINARY}:
            parts, is_text = [], frame.opcode is Opcode.TEXT
        elif frame.opcode is not Opcode.CONT:
            continue
        parts.append(bytes(frame.data))
        if not frame.fin:
            continue
        message = b"".join(parts)
        if is_text and not _is_utf8(message):
            with suppress(InvalidState):  # the parser has read on, up to a close, and answered it
                conn.fail(1007, "not UTF-8")
            told.code = 1007
            break
        told.messages.append((message, is_text))
    if told.code:
        pass  # what comes behind it does not matter
    elif conn.parser_exc is not None:
        assert conn.close_sent is not None
        told.code = conn.close_sent.code
    elif conn.close_rcvd is not None:
        told.code = conn.close_rcvd.code
    told.sent = b"".join(conn.data_to_send())
    return told


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
