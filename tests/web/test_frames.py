"""Frames as the hub makes and reads them, with the parser of `websockets` as the judge."""

from __future__ import annotations

import pytest
from client_frames import (
    MAX_BYTES,
    PLACES,
    SEQUENCES,
    SIZES,
    any_frame,
    cut,
    masked,
    told_by_websockets,
)
from fhircast_hub.web.frames import (
    PING,
    PONG,
    TEXT,
    FrameReader,
    TextFrames,
    control_frame,
    short_frame,
    text_frame,
)
from hypothesis import given, settings
from websockets.frames import Frame, Opcode
from websockets.protocol import Protocol, Side, State


def read_by_a_client(data: bytes) -> list[Frame]:
    conn = Protocol(Side.CLIENT, state=State.OPEN, max_size=None)
    conn.receive_data(data)
    assert conn.parser_exc is None
    return [it for it in conn.events_received() if isinstance(it, Frame)]


@pytest.mark.parametrize("size", [*SIZES, 65_537, 200_000])
def test_a_text_frame_is_what_a_client_reads(size: int) -> None:
    """GEN-02: each of the three forms of the length, on both sides of where they change."""
    payload = b"x" * size
    (frame,) = read_by_a_client(text_frame(payload))
    assert (frame.opcode, frame.fin, bytes(frame.data)) == (Opcode.TEXT, True, payload)
    assert text_frame(payload) == Frame(Opcode.TEXT, payload).serialize(mask=False)


@pytest.mark.parametrize(("first", "opcode"), [(PING, Opcode.PING), (PONG, Opcode.PONG)])
@pytest.mark.parametrize("size", [0, 4, 125])
def test_a_control_frame_is_what_a_client_reads(first: int, opcode: Opcode, size: int) -> None:
    """GEN-02."""
    payload = b"x" * size
    assert control_frame(first, payload) == Frame(opcode, payload).serialize(mask=False)


def test_who_gets_the_same_payload_gets_the_same_frame() -> None:
    """2.6: made once for all."""
    frames = TextFrames()
    assert frames.of(b"") == text_frame(b"")
    payload, equal = b"{%d}" % 1, b"{%d}" % 1
    assert frames.of(payload) is frames.of(payload)
    assert frames.of(equal) == frames.of(payload)
    assert frames.of(b"{2}") != frames.of(payload)


@pytest.mark.parametrize(
    ("opcode", "first"), [(Opcode.TEXT, TEXT), (Opcode.PING, PING), (Opcode.PONG, PONG)]
)
@pytest.mark.parametrize("size", [0, 1, 125])
def test_a_usual_frame_is_read_with_what_comes_behind_it(
    opcode: Opcode, first: int, size: int
) -> None:
    """GEN-02, ACK-01."""
    data = b"??" + masked(opcode, b"y" * size)
    assert short_frame(data + b"rest", 2) == (first, b"y" * size, len(data))


@pytest.mark.parametrize(
    "data",
    [
        masked(Opcode.BINARY, b"x"),
        masked(Opcode.TEXT, b"x", fin=False),
        masked(Opcode.CONT, b"x"),
        masked(Opcode.CLOSE),
        any_frame(0xC1, b"{}"),
        masked(Opcode.TEXT, b"x" * 126),
        masked(Opcode.TEXT, b"x" * 65_536),
        Frame(Opcode.TEXT, b"unmasked").serialize(mask=False),
        masked(Opcode.TEXT, b"xyz")[:-1],
        masked(Opcode.TEXT)[:-1],
        masked(Opcode.TEXT, b"y")[:-1],
        masked(Opcode.TEXT, b"y" * 125)[:-1],
        Frame(Opcode.TEXT, b"123456").serialize(mask=False),
        b"\x81",
        b"",
    ],
    ids=range(15),
)
def test_what_is_not_usual_is_left_to_the_parser(data: bytes) -> None:
    """GEN-02: other frames, what is not allowed, and what has not come yet."""
    assert short_frame(data, 0) is None


@settings(max_examples=150)
@given(SEQUENCES, PLACES)
def test_fragments_are_put_together(data: bytes, places: list[int]) -> None:
    """GEN-02: wherever the network cuts."""
    reader = FrameReader(MAX_BYTES)
    found = []
    for it in cut(data, places):
        found += [m for frame in reader.read(it) if (m := reader.message(frame)) is not None]
        if reader.conn.parser_exc is not None or reader.conn.close_rcvd is not None:
            break
    expected = told_by_websockets(data)
    if expected.code == 1007 and len(found) > len(expected.messages):
        found.pop()  # a text is judged by who reads it; the words of a close are not
    assert found == expected.messages


LONG = {it: masked(Opcode.TEXT, b"x" * it) for it in (0, 2, 126, 65_536)}


@pytest.mark.parametrize("size", LONG)
def test_a_reader_is_done_where_a_frame_ends(size: int) -> None:
    """GEN-02: not within its head either, where networks like to cut."""
    data = LONG[size]
    for cut_at in {*range(1, min(16, len(data))), len(data) - 1}:
        reader = FrameReader(MAX_BYTES)
        assert list(reader.read(data[:cut_at])) == []
        assert not reader.is_done, cut_at
        (frame,) = reader.read(data[cut_at:])
        assert (len(frame.data), reader.is_done) == (size, True)


def test_a_reader_is_done_where_a_message_ends() -> None:
    """GEN-02: the usual frames are read without it again."""
    reader = FrameReader(MAX_BYTES)
    states = []
    for it in (
        masked(Opcode.TEXT, b"{", fin=False),
        masked(Opcode.PING),
        masked(Opcode.CONT, b"}"),
        masked(Opcode.TEXT, b"", fin=False),
        masked(Opcode.CONT) + masked(Opcode.TEXT, b"{}")[:1],
    ):
        list(reader.read(it))
        states.append(reader.is_done)
    assert states == [False, False, True, False, False]


def test_a_reader_that_said_good_bye_is_not_done() -> None:
    """CONF-05: the answer is to be read by it."""
    reader = FrameReader(MAX_BYTES)
    reader.close(1000, "")
    assert not reader.is_done


def test_a_close_is_said_once() -> None:
    """CONF-05."""
    reader = FrameReader(MAX_BYTES)
    assert reader.close(1008, "words") == Frame(Opcode.CLOSE, b"\x03\xf0words").serialize(
        mask=False
    )
    assert reader.close(1001, "again") == b""
