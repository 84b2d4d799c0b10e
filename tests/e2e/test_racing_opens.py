"""Three applications open, close, update, leave and come back in every order: nobody differs.

The hub, its channels and the followers of the applications run in memory, each application reading
when it likes. After every step the hub is what a model written from the requirements says; whenever
everybody has read everything, every application shows the same.
"""

from __future__ import annotations

import asyncio
import copy
import os
from typing import TYPE_CHECKING, Any

import pytest
from builders import (
    NOON,
    after,
    bundle,
    case,
    delete,
    item,
    key_of,
    message,
    observation,
    put,
    ref,
    target,
)
from e2e.context_model import ContextModel
from e2e.memory_room import Room, shown_by
from fhircast_subscribers.wire import decode
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import TypeVar

    from builders import Json

    T = TypeVar("T")

pytestmark = pytest.mark.timeout(300)
"""A thousand runs take half a minute; a machine that does other things as well takes longer."""

REPORT, PATIENT, STUDY = case(1)
REPORT_2, PATIENT_2, STUDY_2 = case(2)
CASES = {
    "report 1": (REPORT, PATIENT, STUDY),
    "report 2": (REPORT_2, PATIENT_2, STUDY_2),
    "patient": (PATIENT,),
    "study": (STUDY, PATIENT),
    "report 1, another patient": (REPORT, PATIENT_2, STUDY),
}
"""Anchor and what is opened with it."""

_apps = st.integers(0, 2)
_cases = st.sampled_from(list(CASES))
_hows = st.sampled_from(["share", "share", "stale", "remove"])
_seconds = st.integers(0, 4)
"""Few moments, so that many of them are equal, older or newer."""


class RacingOpens(RuleBasedStateMachine):
    """Rows TAB, CTX, REP, CONT; D-11, D-21, D-26, D-27, D-28, D-44, D-45."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.model = ContextModel()
        self.room = Room((), ira=False)
        self.sent: list[Json] = []
        self.snapshots: dict[str, Any] = {}
        self.steps = 0
        self.comes_and_goes = False
        self.lets_late_opens_through = False

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(coroutine)

    @initialize(ira=st.booleans(), comes_and_goes=st.booleans())
    def start(self, ira: bool, comes_and_goes: bool) -> None:
        """Either applications come and go, or opens come late: see `LATE_OPENS` for both."""
        self.comes_and_goes = comes_and_goes
        self.model = ContextModel(ira=ira)
        self.room = Room(("worklist", "viewer", "dictation"), ira=ira)
        self.run(self.room.start())
        for app in self.room.apps:
            self.run(app.join())

    def teardown(self) -> None:
        with self.runner:
            try:
                self.everybody_shows_the_same()
            finally:
                self.run(self.room.stop())

    # Requests

    def post(self, request: Json) -> None:
        """Post what the model knows how to judge; both must answer and do the same."""
        self.sent.append(request)
        expected = self.model.status_of(request, self.room.clock.utc())
        status, version = self.run(self.room.post(request))
        assert status == expected
        if status == 202:
            self.model.accept(request, version)

    def new(self, event: str, items: list[Json], seconds: int, **fields: Any) -> Json:
        self.steps += 1
        return message(event, items, id=f"e-{self.steps}", at=after(seconds), **fields)

    def not_late(self, seconds: int, anchor: str = "") -> int:
        """Move a moment so far that none of the `LATE_OPENS` can happen."""
        if self.lets_late_opens_through:
            return seconds
        known = self.model.contexts.get(anchor)
        earliest = known.opened_at if known is not None else NOON
        if self.comes_and_goes and self.model.moved_at is not None:
            earliest = max(earliest, self.model.moved_at)
        return max(seconds, int((earliest - NOON).total_seconds()))

    @rule(opened=_cases, seconds=_seconds)
    def open(self, opened: str, seconds: int) -> None:
        seconds = self.not_late(seconds, f"{type_of(opened)}/{CASES[opened][0]['id']}")
        self.post(self.new(f"{type_of(opened)}-open", items_of(opened), seconds))

    @rule(closed=_cases, seconds=_seconds)
    def close(self, closed: str, seconds: int) -> None:
        self.post(self.new(f"{type_of(closed)}-close", items_of(closed), seconds))

    @rule(seconds=_seconds)
    def go_home(self, seconds: int) -> None:
        seconds = self.not_late(seconds)
        self.post(self.new("Home-open", [], seconds))

    @rule(seconds=st.integers(301, 400))
    def open_in_the_future(self, seconds: int) -> None:
        seconds += int(self.room.clock.seconds)
        self.post(self.new("DiagnosticReport-open", items_of("report 1"), seconds))

    @rule(app=_apps, which=st.integers(0, 3), number=st.integers(1, 3), how=_hows)
    def update(self, app: int, which: int, number: int, how: str) -> None:
        """Share or remove something in a context that is open for this application.

        It may have read everything by now or not, and then its version may be stale.
        """
        one = self.room.apps[app]
        if how != "stale":
            self.run(one.receive())
        known = list(one.follower.contexts.values())
        if not known:
            return
        context = known[-1 - which % len(known)]
        shared = observation(f"ob-{number}", self.steps)
        entry = delete(target(shared)) if how == "remove" else put(shared)
        items = [
            ref(context.anchor, key_of({"resourceType": context.anchor_type})),
            {"key": "updates", "resource": bundle(entry)},
        ]
        version_id = context.version_id or "none"
        self.post(self.new(f"{context.anchor_type}-update", items, 0, version_id=version_id))

    @precondition(lambda self: self.sent)
    @rule(which=st.integers(0, 100), is_changed=st.booleans())
    def repeat(self, which: int, is_changed: bool) -> None:
        """Send an id again: the same body, or another one (D-28)."""
        request = copy.deepcopy(self.sent[which % len(self.sent)])
        if is_changed:
            request["event"]["context"] = [*request["event"]["context"], item({**OTHER})]
        self.post(request)

    # Applications

    @rule(app=_apps, at_most=st.sampled_from([1, 2, 99]))
    def read_frames(self, app: int, at_most: int) -> None:
        self.run(self.room.apps[app].receive(at_most=at_most))

    @rule(app=_apps)
    def refuse(self, app: int) -> None:
        """Answer the next frame with 409: SyncErrors go out, the context stays (IRA-HUB-15)."""
        self.run(self.room.apps[app].receive(at_most=1, status=409))

    @rule(app=_apps, is_answered=st.booleans())
    def get(self, app: int, is_answered: bool) -> None:
        """Send a GET, whose answer waits and grows old; or take the answers that wait."""
        if is_answered:
            self.run(self.room.apps[app].finish_read())
        else:
            self.run(self.room.apps[app].begin_read())

    @precondition(lambda self: any(it.inbox is None for it in self.room.apps))
    @rule(app=_apps)
    def join(self, app: int) -> None:
        if self.room.apps[app].inbox is None:
            self.run(self.room.apps[app].join())

    @precondition(lambda self: self.comes_and_goes)
    @rule(app=_apps)
    def leave(self, app: int) -> None:
        one = self.room.apps[app]
        if one.inbox is not None and one.inbox.closed is None:
            self.run(one.leave())

    @precondition(lambda self: self.comes_and_goes)
    @rule(app=_apps, code=st.sampled_from([0, 1001, 1006]), restarts=st.booleans())
    def drop(self, app: int, code: int, restarts: bool) -> None:
        """Lose the socket: unseen by the hub (0), by a reload (1001), or broken (1006)."""
        one = self.room.apps[app]
        if one.inbox is not None:
            self.run(one.drop(code))
            if restarts:
                one.restart()

    @rule()
    def time_passes(self) -> None:
        """Longer than the grace, shorter than three missing answers."""
        self.run(self.room.wait(6))

    # What must hold

    @invariant()
    def the_hub_is_what_the_model_says(self) -> None:
        """TAB-01 … TAB-03, CTX-02 … CTX-06, CONT-04, CONT-16."""
        if not self.room.apps:
            return
        view = self.run(self.room.context())
        shown, version = shown_by(view), decode(view)["context.versionId"]
        assert shown == self.model.shown
        assert not self.model.current or version == self.model.version
        # CTX-05: another context or content, another version.
        assert self.snapshots.setdefault(version, shown) == shown

    @rule()
    def everybody_shows_the_same(self) -> None:
        """EVT-11, REP-01 … REP-05, CONT-18, IRA-SUB-07: anchor, version, items, content."""
        self.run(self.room.settle())
        self.the_hub_is_what_the_model_says()
        for app in self.room.apps:
            assert app.shown == self.model.shown, app.name
            current = app.follower.current
            assert current is None or current.version_id == self.model.version, app.name
            assert not app.follower.sync.needs_context, app.name


def type_of(name: str) -> str:
    return str(CASES[name][0]["resourceType"])


def items_of(name: str) -> list[Json]:
    return [item(it) for it in CASES[name]]


OTHER = {"resourceType": "Basic", "id": "other"}

LATE_OPENS: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "a late re-open of an open context, then a close in between": [
        ("open", {"opened": "report 1", "seconds": 1}),
        ("everybody_shows_the_same", {}),
        ("open", {"opened": "report 1", "seconds": 0}),
        ("close", {"closed": "report 1", "seconds": 0}),
    ],
    "a late re-open that comes over a resumed connection": [
        ("open", {"opened": "report 1", "seconds": 1}),
        ("everybody_shows_the_same", {}),
        ("open", {"opened": "report 1", "seconds": 0}),
        ("drop", {"app": 0, "code": 0, "restarts": False}),
        ("everybody_shows_the_same", {}),
        ("close", {"closed": "report 1", "seconds": 0}),
    ],
    "late opens around a resumed connection, after a Home-open": [
        ("go_home", {"seconds": 1}),
        ("everybody_shows_the_same", {}),
        ("open", {"opened": "report 1", "seconds": 0}),
        ("drop", {"app": 0, "code": 0, "restarts": False}),
        ("everybody_shows_the_same", {}),
        ("open", {"opened": "report 1", "seconds": 0}),
    ],
    "late opens after a close that a joiner did not see": [
        ("leave", {"app": 0}),
        ("open", {"opened": "report 1", "seconds": 3}),
        ("close", {"closed": "report 1", "seconds": 3}),
        ("join", {"app": 0}),
        ("open", {"opened": "report 1", "seconds": 1}),
        ("everybody_shows_the_same", {}),
        ("open", {"opened": "report 2", "seconds": 2}),
    ],
}
"""What the machine does not try: an open that is older than what it would replace."""


@pytest.mark.parametrize("name", LATE_OPENS)
def test_late_opens(name: str) -> None:
    """D-26, D-27, EVT-10: whatever comes late, everybody shows what the hub has."""
    machine = RacingOpens()
    machine.start(ira=False, comes_and_goes=True)
    machine.lets_late_opens_through = True
    try:
        for step, arguments in LATE_OPENS[name]:
            getattr(machine, step)(**arguments)
    finally:
        machine.teardown()


TestRacingOpens = RacingOpens.TestCase
TestRacingOpens.settings = settings(
    max_examples=20_000 if os.environ.get("HYPOTHESIS_PROFILE") == "long" else 1_000,
    stateful_step_count=20,
    derandomize=os.environ.get("HYPOTHESIS_PROFILE") != "long",
    deadline=None,
    database=None,
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
    suppress_health_check=[HealthCheck.too_slow],
)
