"""The wall clock is set, or the machine slept: nobody stays behind with a session that is gone."""

from __future__ import annotations

from builders import after, case, item, message
from e2e.memory_room import Room

_A_DAY_AND_MORE = 90_000
_, PATIENT, _ = case(1)
_, PATIENT_2, _ = case(2)


async def test_who_was_subscribed_before_a_jump_of_the_clock_is_told_that_it_is_over() -> None:
    """D-40, guarantee 3: the next session of the topic is another one, and counts from 0 again."""
    room = Room(["before", "after"], ira=False)
    await room.start()
    before, newcomer = room.apps
    await before.join()
    for number in range(5):
        await room.post(message("Patient-open", [item(PATIENT)], at=after(number)))
    await before.receive()

    room.clock.ahead_seconds = _A_DAY_AND_MORE
    await room.backend.expire(room.clock.utc())
    assert before.inbox is not None
    assert before.inbox.closed is not None
    await before.receive()
    await newcomer.join()
    await before.join()
    opened = message("Patient-open", [item(PATIENT_2)], at=room.clock.utc())
    assert (await room.post(opened))[0] == 202
    await room.settle()
    assert before.shown == newcomer.shown
    assert before.shown[0] == f"Patient/{PATIENT_2['id']}"
    await room.stop()
