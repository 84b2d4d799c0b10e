"""What holds for every session and every sequence of requests (2.9, 2.10)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest
from builders import (
    BASE,
    IRA,
    after,
    case,
    close_event,
    delete,
    event,
    judge,
    new_session,
    observation,
    open_case,
    open_event,
    put,
    select_event,
    sync_error,
    target,
    update_event,
    value,
)
from fhircast_hub.protocol.errors import FhircastError
from fhircast_hub.protocol.messages import EventNotification, encode_notification
from fhircast_hub.protocol.views import encode_current_context, replay
from hypothesis import given
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fhircast_hub.protocol.session import Decision, Rules, Session

KINDS = (
    *["open"] * 5,
    *["update"] * 8,
    *["close", "stale", "broken", "select", "home", "logout", "patient", "swap", "error", "resend"],
)


@dataclass(frozen=True)
class Step:
    """One request, in terms of the state in which it is made."""

    kind: str
    number: int
    seconds: int
    keys: tuple[int, ...]


def steps(*, oldest: int = 0) -> st.SearchStrategy[list[Step]]:
    """Sequences of requests; a request may be up to `oldest` seconds older than its turn."""
    keys = st.lists(st.integers(-4, 4), max_size=3, unique_by=abs).map(tuple)
    step = st.builds(
        Step,
        st.sampled_from(KINDS),
        st.sampled_from([1, 1, 1, 2, 2, 3]),
        st.integers(-oldest, 0),
        keys,
    )
    return st.lists(step, min_size=10, max_size=40)


def request_of(
    step: Step, turn: int, session: Session, history: list[EventNotification]
) -> EventNotification:
    """The request of a step; every turn is a second after the one before."""
    report, patient, study = case(step.number)
    known = session.contexts.get(target(report))
    version_id = known.version_id if known else "v0"
    id, at = f"e-{turn}", after(turn + step.seconds - 100)
    changes = [
        delete(f"Observation/ob-{-it}") if it < 0 else put(observation(f"ob-{it}", turn))
        for it in step.keys
    ]
    match step.kind:
        case "open":
            return open_case(step.number, id=id, at=at)
        case "swap":
            return open_event(report, case(step.number % 3 + 1)[1], study, id=id, at=at)
        case "patient":
            return open_event(patient, id=id, at=at)
        case "close":
            return close_event(report, id=id, at=at)
        case "update":
            return update_event(report, version_id, changes, id=id, at=at)
        case "stale":
            return update_event(report, "stale", changes, id=id, at=at)
        case "broken":
            broken = [*changes, delete(target(patient))]
            return update_event(report, version_id, broken, id=id, at=at)
        case "select":
            selected = [f"Observation/ob-{it}" for it in step.keys]
            return select_event(report, *selected, id=id, at=at)
        case "resend" if history:
            return history[step.number % len(history)]
        case "error" if history:
            return sync_error(history[-step.number % len(history)].id, id=id)
        case "home":
            return event("Home-open", id=id, at=at)
        case _:
            return event("UserLogout", id=id, at=at)


@dataclass(frozen=True)
class Turn:
    """What a request did: `decision` is None if it was rejected."""

    before: Session
    request: EventNotification
    decision: Decision | None
    session: Session


def walk(todo: list[Step], rules: Rules = BASE) -> Iterator[Turn]:
    session, history = new_session(), list[EventNotification]()
    for number, step in enumerate(todo, 1):
        request = request_of(step, number, session, history)
        history.append(request)
        decision: Decision | None = None
        before = session
        try:
            decision = judge(session, request, f"v{number}", rules)
            session = decision.session
        except FhircastError:
            pass
        yield Turn(before, request, decision, session)


def shown(session: Session) -> bytes:
    return encode_current_context(session, lambda _name: True)


def fingerprint(session: Session) -> list[Any]:
    """Everything that a session holds, copied."""
    contexts = [
        (key, it.version_id, encode_notification(it.opened), [*it.content])
        for key, it in session.contexts.items()
    ]
    return [
        *(session.topic, session.version_id, session.revision, session.current),
        *(session.opened_at, session.home, contexts, list(session.remembered.items())),
    ]


rules_ = pytest.mark.parametrize("rules", [BASE, IRA], ids=["base", "ira"])


@rules_
@given(todo=steps(oldest=5))
def test_a_session_is_a_value_and_a_rejection_leaves_it(rules: Rules, todo: list[Step]) -> None:
    """2.10: CONT-05, whatever was rejected, and whatever was accepted afterwards."""
    kept = [(new_session(), fingerprint(new_session()))]
    for turn in walk(todo, rules):
        if turn.decision is None:
            assert turn.session is turn.before
        kept.append((turn.session, fingerprint(turn.session)))
    assert all(fingerprint(session) == copy for session, copy in kept)


@rules_
@given(todo=steps(oldest=5))
def test_the_revision_counts_accepted_requests(rules: Rules, todo: list[Step]) -> None:
    """Design: a gap in revisions is a gap in what was broadcast."""
    for turn in walk(todo, rules):
        has_moved = turn.decision is not None and turn.decision.broadcast is not None
        assert turn.session.revision == turn.before.revision + has_moved
        if turn.decision is not None and not has_moved:
            assert turn.session is turn.before


@given(todo=steps(oldest=5))
def test_the_chain_of_versions_is_linear(todo: list[Step]) -> None:
    """2.10: CONT-01, CONT-04, CTX-05; no version twice, each names the one before."""
    used: set[str] = set()
    for turn in walk(todo):
        if turn.decision is None or turn.decision.broadcast is None:
            continue
        broadcast = turn.decision.broadcast
        if broadcast.name.key == "diagnosticreport-update":
            before = turn.before.contexts[broadcast.context[0].target]
            assert broadcast.prior_version_id == before.version_id
            assert broadcast.version_id not in used
        used.add(broadcast.version_id)
    assert used <= {"", *(f"v{number}" for number in range(1, len(todo) + 1))}


@given(todo=steps(oldest=5))
def test_no_two_open_contexts_share_a_version(todo: list[Step]) -> None:
    """2.10: CONT-01, unique in the topic."""
    for turn in walk(todo):
        versions = [it.version_id for it in turn.session.contexts.values()]
        assert len({*versions, turn.session.version_id}) == len(versions) + 1


@given(todo=steps(oldest=5))
def test_what_get_shows_changes_only_with_its_version(todo: list[Step]) -> None:
    """2.9: CTX-05."""
    by_version: dict[str, bytes] = {}
    for turn in walk(todo):
        answer = shown(turn.session)
        version_id = value(answer)["context.versionId"]
        assert by_version.setdefault(version_id, answer) == answer


@given(todo=steps())
def test_content_is_what_a_plain_dict_would_hold(todo: list[Step]) -> None:
    """2.10: CONT-05, CONT-10, CONT-11, CONT-16; whole or not at all."""
    model: dict[str, dict[str, Any]] = {}
    for turn in walk(todo):
        if turn.decision is not None and turn.decision.broadcast is not None:
            apply(model, value(encode_notification(turn.decision.broadcast))["event"])
        found = {
            anchor: {key: value(shared.resource) for key, shared in context.content}
            for anchor, context in turn.session.contexts.items()
        }
        assert found == model
        assert all(len(it.content) == len(model[key]) for key, it in turn.session.contexts.items())


def named(item: dict[str, Any]) -> str:
    """The "Type/id" of a context item."""
    return target(item["resource"]) if "resource" in item else str(item["reference"]["reference"])


def apply(contents: dict[str, dict[str, Any]], happened: dict[str, Any]) -> None:
    """Do to plain dicts what an event does to content."""
    name, items = happened["hub.event"], happened["context"]
    if name.endswith("-open") and items:
        contents.setdefault(named(items[0]), {})
    elif name.endswith("-close"):
        contents.pop(named(items[0]), None)
    elif name.endswith("-update"):
        content = contents[named(items[0])]
        for entry in items[-1]["resource"]["entry"]:
            if entry["request"]["method"] == "DELETE":
                content.pop(entry["request"]["url"], None)
            else:
                content[entry["request"]["url"]] = entry["resource"]


@given(todo=steps(oldest=5))
def test_remembered_ids_are_bounded(todo: list[Step]) -> None:
    """D-28: the newest ones are kept."""
    rules = replace(BASE, remembered_ids=3)
    for turn in walk(todo, rules):
        assert len(turn.session.remembered) <= 3
        if turn.decision is not None and turn.session is not turn.before:
            assert turn.request.id in turn.session.remembered


@given(todo=steps(oldest=5))
def test_the_current_context_is_an_open_one_or_none(todo: list[Step]) -> None:
    """2.9: CTX-03, CTX-04; and replay ends with it (D-13)."""
    for turn in walk(todo):
        session = turn.session
        assert session.current == "" or session.current in session.contexts
        again = replay(session, lambda _name: True)
        if session.current_context is not None:
            assert again[-1] == session.current_context.opened
        types = [it.name.anchor_type for it in again]
        assert len(set(types)) == len(types)


class Follower:
    """A subscriber that keeps what the standard wants it to keep (CONT-17, CONT-18, D-26)."""

    def __init__(self) -> None:
        self.current = ""
        self.opened_at = ""
        self.opened_ids: dict[str, str] = {}
        self.versions: dict[str, str] = {}
        self.contents: dict[str, dict[str, Any]] = {}
        self.gaps = 0
        self.incomplete: set[str] = set()

    def receive(self, frame: bytes, session: Session) -> None:
        """Follow a frame; `session` is what a GET would show now."""
        message = value(frame)
        happened = message["event"]
        name, items = happened["hub.event"], happened["context"]
        anchor = named(items[0]) if items and name.partition("-")[2] else ""
        if name.endswith("-open") and message["timestamp"] >= self.opened_at:
            self.current, self.opened_at = anchor, message["timestamp"]
        if name.endswith("-open") and self.opened_ids.get(anchor) == message["id"]:
            return  # sent again for the sake of others
        if name.endswith("-open"):
            self.opened_ids[anchor] = message["id"]
        if name.endswith("-close"):
            if self.current == anchor:
                self.current, self.opened_at = "", ""
            self.versions.pop(anchor, None)
            self.incomplete.discard(anchor)
        prior = happened.get("context.priorVersionId", "")
        if prior and (prior != self.versions.get(anchor) or anchor in self.incomplete):
            self.gaps += 1
            self.contents.setdefault(anchor, {})
            self.incomplete.add(anchor)  # a GET tells the content of the current context only
            self.read(session)
        elif not name.endswith("-update") or prior:
            apply(self.contents, happened)
        if name.endswith(("-open", "-update")) and items:
            self.versions[anchor] = happened["context.versionId"]

    def read(self, session: Session) -> None:
        """GET: handled as if the open had arrived; the content is replaced (IRA-SUB-07)."""
        answer = value(shown(session))
        self.current = ""
        if answer["context"]:
            self.current = named(answer["context"][0])
            self.versions[self.current] = answer["context.versionId"]
            entries = answer["context"][-1]["resource"].get("entry", [])
            self.incomplete.discard(self.current)
            self.contents[self.current] = {target(it["resource"]): it["resource"] for it in entries}

    @property
    def view(self) -> tuple[str, str, Any]:
        """What the user sees."""
        if not self.current:
            return "", "", None
        return self.current, self.versions[self.current], self.contents[self.current]


def view_of(session: Session) -> tuple[str, str, Any]:
    follower = Follower()
    follower.read(session)
    return follower.view


@given(todo=steps())
def test_who_is_there_from_the_start_needs_no_get(todo: list[Step]) -> None:
    """2.10: CONT-06, CONT-17; the broadcasts alone tell everything, without a gap."""
    follower = Follower()
    for turn in walk(todo):
        if turn.decision is not None and turn.decision.broadcast is not None:
            follower.receive(encode_notification(turn.decision.broadcast), turn.session)
        assert follower.view == view_of(turn.session)
    assert follower.gaps == 0


@given(todo=steps(), joins_at=st.integers(0, 40))
def test_who_joins_late_ends_where_the_others_are(todo: list[Step], joins_at: int) -> None:
    """2.4, 2.9: REP-01, REP-05, CONT-18; confirmation, replay, GET, then live."""
    late = Follower()
    session = new_session()
    for number, turn in enumerate(walk(todo)):
        if number == joins_at:
            for opened in replay(turn.before, lambda _name: True):
                late.receive(encode_notification(opened), turn.before)
            late.read(turn.before)
        session = turn.session
        if number >= joins_at and turn.decision is not None and turn.decision.broadcast is not None:
            late.receive(encode_notification(turn.decision.broadcast), session)
    if joins_at < len(todo):
        assert late.view == view_of(session)
