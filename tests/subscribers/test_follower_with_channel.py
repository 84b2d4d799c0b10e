"""Channel and Follower in memory: whoever joins late or comes back knows what the hub knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from builders import (
    NOON,
    case,
    close_event,
    event,
    observation,
    open_case,
    put,
    select_event,
    update_event,
)
from builders import after as at
from fhircast_hub.protocol.errors import FhircastError
from hypothesis import given
from hypothesis import strategies as st
from subscribers.memory_hub import MemoryHub

if TYPE_CHECKING:
    from fhircast_hub.protocol.messages import EventNotification
    from fhircast_subscribers.follower import Follower

REPORT = case(1)[0]

_numbers = st.integers(1, 3)
_steps = st.lists(
    st.one_of(
        st.tuples(st.just("open"), _numbers),
        st.tuples(st.just("close"), _numbers),
        st.tuples(st.just("update"), _numbers),
        st.tuples(st.just("select"), _numbers),
        st.tuples(st.just("home"), st.just(0)),
        st.tuples(st.just("lose"), st.just(0)),
        st.tuples(st.just("receive"), st.just(0)),
        st.tuples(st.just("read"), st.just(0)),
    ),
    max_size=25,
)


def request(hub: MemoryHub, what: str, number: int, step: int) -> EventNotification | None:
    report = case(number)[0]
    anchor = f"DiagnosticReport/dr-{number}"
    moment = at(step - 100)
    if what == "home":
        return event("Home-open", at=moment)
    if what == "open":
        return open_case(number, at=moment)
    if what == "close":
        return close_event(report, at=moment)
    if anchor not in hub.session.contexts:
        return None
    if what == "update":
        entries = [put(observation(f"ob-{step}"))]
        return update_event(report, hub.version(anchor), entries, at=moment)
    return select_event(report, f"Patient/pt-{number}", at=moment)


def play(hub: MemoryHub, steps: list[tuple[str, int]]) -> None:
    """Let the hub accept what it accepts; the first follower reads, loses, comes back."""
    early = hub.joined[0]
    for step, (what, number) in enumerate(steps):
        if what == "receive":
            early.receive()
        elif what == "read":
            early.read()
        elif what == "lose":
            early.lose()
            early.connect()
        elif asked := request(hub, what, number, step):
            try:
                hub.publish(asked)
            except FhircastError:
                continue


def shown(follower: Follower) -> object:
    """What a user sees of the current context."""
    current = follower.current
    if current is None:
        return None
    return current.anchor, current.version_id, dict(current.content), current.patient


@given(_steps)
def test_late_joiner_shows_what_the_early_one_shows(steps: list[tuple[str, int]]) -> None:
    """EVT-11, IRA-SUB-07: in any order of events, losses, reads and late frames."""
    hub = MemoryHub()
    hub.join("early")
    play(hub, steps)
    late = hub.join("late")
    for one in hub.joined:
        one.settle()
    assert shown(hub.joined[0].follower) == shown(late.follower)
    assert all(one.follower.in_sync for one in hub.joined)


@given(_steps)
def test_follower_shows_what_the_hub_has(steps: list[tuple[str, int]]) -> None:
    """CTX-02 … CTX-05: current context, its version and the keys of its content."""
    hub = MemoryHub()
    early = hub.join("early")
    play(hub, steps)
    early.settle()
    current, known = hub.session.current_context, early.follower.current
    assert (known.anchor if known else "") == hub.session.current
    if current is not None and known is not None:
        assert known.version_id == current.version_id
        assert list(known.content) == [key for key, _shared in current.content]


@given(_steps)
def test_nothing_is_shown_as_open_that_the_hub_has_closed(steps: list[tuple[str, int]]) -> None:
    """IRA-SUB-06: after coming back too."""
    hub = MemoryHub()
    early = hub.join("early")
    play(hub, steps)
    early.settle()
    assert set(early.follower.contexts) <= set(hub.session.contexts)


def test_refusal_reaches_the_others_as_sync_error() -> None:
    """SYNC-01: the follower of another subscriber learns who refused what."""
    hub = MemoryHub()
    viewer, dictation = hub.join("viewer"), hub.join("dictation")
    for one in hub.joined:
        one.settle()
    hub.publish(open_case(1))
    dictation.receive(status=409)
    viewer.receive()
    assert [it.subscriber for it in viewer.follower.sync.problems] == ["dictation"]


def test_resend_after_the_refusal_clears_it_for_all() -> None:
    """SYNC-12, D-28: the same message again is broadcast and followed."""
    hub = MemoryHub()
    viewer, dictation = hub.join("viewer"), hub.join("dictation")
    opened = open_case(1, at=NOON)
    hub.publish(opened)
    dictation.receive(status=409)
    hub.publish(opened)
    dictation.settle()
    viewer.settle()
    assert viewer.follower.in_sync
    assert dictation.follower.in_sync


def test_resume_within_the_grace_loses_nothing() -> None:
    """D-45: what was on the way comes again, in order, and is applied once."""
    hub = MemoryHub()
    one = hub.join()
    hub.publish(open_case(1))
    one.settle()
    one.lose()
    hub.publish(update_event(REPORT, "v1", [put(observation("ob-1"))]))
    one.connect()
    one.settle()
    current = one.follower.current
    assert current is not None
    assert (current.version_id, list(current.content)) == ("v2", ["Observation/ob-1"])
