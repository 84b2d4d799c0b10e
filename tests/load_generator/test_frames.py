"""Frames, read and written, beside those of a library."""

from __future__ import annotations

import secrets

import pytest
from fhircast_bench.frames import PONG, TEXT, BadFrame, FrameReader, client_frame
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

PAYLOADS = st.one_of(st.binary(max_size=300), st.just(b"x" * 70_000))


def served(opcode: Opcode, payload: bytes, *, is_final: bool = True) -> bytes:
    """A frame as servers send it."""
    return Frame(opcode, payload, is_final).serialize(mask=False)


@given(st.lists(PAYLOADS, max_size=5), st.data())
def test_messages_come_out_however_the_bytes_are_cut(
    payloads: list[bytes], data: st.DataObject
) -> None:
    sent = b"".join(served(Opcode.TEXT, it) for it in payloads)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(sent)), max_size=6)))
    reader, found = FrameReader(), []
    for start, end in zip([0, *cuts], [*cuts, len(sent)], strict=True):
        found += reader.feed(sent[start:end])
    assert found == [(TEXT, it) for it in payloads]


def test_fragments_are_one_message_and_control_frames_come_between() -> None:
    sent = (
        served(Opcode.TEXT, b"a", is_final=False)
        + served(Opcode.PING, b"?")
        + served(Opcode.CONT, b"b", is_final=False)
        + served(Opcode.CONT, b"c")
    )
    assert FrameReader().feed(sent) == [(Opcode.PING, b"?"), (TEXT, b"abc")]


@pytest.mark.parametrize(
    "frame",
    [
        Frame(Opcode.TEXT, b"a").serialize(mask=True),
        b"\xc1\x01a",
        b"\x81\x7f" + (2**40).to_bytes(8),
    ],
    ids=["masked", "compressed", "endless"],
)
def test_what_no_server_may_send_is_refused(frame: bytes) -> None:
    with pytest.raises(BadFrame):
        FrameReader().feed(frame)


@pytest.mark.parametrize("size", [0, 125, 126, 65_535])
@pytest.mark.parametrize("opcode", [TEXT, PONG])
def test_a_server_understands_what_is_written(opcode: int, size: int) -> None:
    payload = secrets.token_bytes(size) if opcode == PONG else b"t" * size
    if opcode == PONG and size > 125:
        return  # control frames are short
    server = ServerProtocol(state=OPEN)
    server.receive_data(client_frame(opcode, payload))
    [frame] = server.events_received()
    assert isinstance(frame, Frame)
    assert (frame.opcode, frame.data) == (opcode, payload)
