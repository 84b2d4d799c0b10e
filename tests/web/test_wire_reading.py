"""What a `Wire` makes of bytes, wherever the network cuts them: the same as `websockets` does."""

from __future__ import annotations

import asyncio

from client_frames import (
    PLACES,
    SEQUENCES,
    Told,
    acknowledgement,
    any_frame,
    closing,
    cut,
    in_pieces,
    masked,
    told_by_websockets,
)
from fhircast_hub.web.frames import PONG, control_frame, text_frame
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.frames import Opcode
from wire_reader import told_by_a_wire


def test_a_wire_reads_what_websockets_reads() -> None:
    """GEN-02: the same messages, pongs and close, from right and wrong frames, in any pieces."""

    @settings(max_examples=400)
    @given(SEQUENCES, PLACES, st.integers(0, 5))
    def compare(data: bytes, places: list[int], notified: int) -> None:
        told = runner.run(told_by_a_wire(cut(data, places), notified=notified))
        assert told == told_by_websockets(data)

    with asyncio.Runner() as runner:
        compare()


async def test_bytes_one_by_one() -> None:
    """GEN-02, ACK-01."""
    data = acknowledgement() + masked(Opcode.PING, b"p") + acknowledgement() + closing(1000)
    told = await told_by_a_wire(data[at : at + 1] for at in range(len(data)))
    assert told == told_by_websockets(data)
    assert (len(told.messages), told.code) == (2, 1000)


async def test_answers_come_in_the_order_of_what_they_answer() -> None:
    """GEN-02: RFC 6455, 5.5.3; a pong is not held up by the message behind its ping."""
    pieces = in_pieces(Opcode.TEXT, b"{} ", [1, 2])
    data = masked(Opcode.PING, b"1").join(pieces) + masked(Opcode.PING, b"2") + closing(1000)
    assert await told_by_a_wire([data], echoes=True) == Told(
        [(b"{} ", True)],
        1000,
        control_frame(PONG, b"1") * 2
        + text_frame(b"{} ")
        + control_frame(PONG, b"2")
        + control_frame(0x88, b"\x03\xe8"),
    )


async def test_each_in_a_segment_of_its_own() -> None:
    """ACK-01: as answers come, mostly; more than were asked for, and texts of any letters."""
    frames = [acknowledgement(it) for it in ("e-1", "e-2", "ü", "e-4", "e-5")]
    told = await told_by_a_wire([*frames, closing(1000)], notified=4)
    assert told == told_by_websockets(b"".join(frames) + closing(1000))
    assert len(told.messages) == 5


async def test_many_messages_at_once() -> None:
    """ACK-01: usual ones, and unusual ones among them."""
    long = masked(Opcode.TEXT, b'{"id":"%b"}' % (b"x" * 300))
    data = (acknowledgement() * 100 + long + masked(Opcode.PING)) * 20
    told = await told_by_a_wire([data])
    assert told == told_by_websockets(data)
    assert len(told.messages) == 101 * 20


async def test_a_bad_text_with_a_close_behind_it_ends_the_connection_once() -> None:
    """GEN-02: the close was answered already when the text is looked at."""
    told = await told_by_a_wire([masked(Opcode.TEXT, b"\xff" * 200) + closing(1000, "bye")])
    assert told.code in {1000, 1007}
    assert told.sent.count(b"\x88") == 1


async def test_nothing_is_heard_after_the_end() -> None:
    """GEN-02: what comes in one segment with a close, or with what is not allowed."""
    for end in (closing(1001), any_frame(0x83), masked(Opcode.TEXT, b"\xff")):
        told = await told_by_a_wire([acknowledgement() + end + acknowledgement() * 3])
        assert len(told.messages) == 1
