"""What a follower knows after opens, closes, updates, selections and answers to a GET."""

from __future__ import annotations

from typing import Any

import pytest
from builders import (
    OBSERVATION,
    PATIENT,
    REPORT,
    STUDY,
    TOPIC,
    after,
    bundle,
    case,
    delete,
    item,
    message,
    observation,
    put,
    ref,
    sync_error,
)
from fhircast_hub.protocol.messages import encode_notification
from fhircast_subscribers.changes import (
    ContentChanged,
    ContextClosed,
    ContextOpened,
    LogoutRequested,
    NothingCurrent,
    OtherEvent,
    SelectionChanged,
)
from fhircast_subscribers.follower import Follower
from fhircast_subscribers.sync import Connection
from fhircast_subscribers.wire import (
    Notification,
    encode,
    read_current_context,
    read_frame,
)

Json = dict[str, Any]
ANCHOR, ANCHOR_2 = "DiagnosticReport/dr-1", "DiagnosticReport/dr-2"


def frame(event: str, context: list[Json], *, prior: str = "", **fields: Any) -> bytes:
    """A frame of the hub."""
    value = message(event, context, **fields)
    if prior:
        value["event"]["context.priorVersionId"] = prior
    return encode(value)


def open_frame(number: int = 1, *, seconds: float = 0, version: str = "v1", **fields: Any) -> bytes:
    items = [item(it) for it in case(number)]
    return frame("DiagnosticReport-open", items, at=after(seconds), version_id=version, **fields)


def update_frame(version: str, prior: str, *entries: Json, number: int = 1) -> bytes:
    items = [
        ref(f"DiagnosticReport/dr-{number}", "report"),
        {"key": "updates", "resource": bundle(*entries)},
    ]
    return frame("DiagnosticReport-update", items, version_id=version, prior=prior)


def select_frame(*selected: Json, version: str = "v1") -> bytes:
    items = [ref(ANCHOR, "report"), *selected]
    return frame("DiagnosticReport-select", items, version_id=version)


def close_frame(number: int = 1, *, seconds: float = 1) -> bytes:
    return frame("DiagnosticReport-close", [item(it) for it in case(number)], at=after(seconds))


def got(number: int = 1, version: str = "v1", *content: Json) -> bytes:
    """The answer to a GET."""
    entries = [{"resource": it} for it in content]
    shared = {"resourceType": "Bundle", "id": "c", "type": "collection", "entry": entries}
    items = [*(item(it) for it in case(number)), {"key": "content", "resource": shared}]
    return encode(
        {"context.type": "DiagnosticReport", "context.versionId": version, "context": items}
    )


NOTHING = encode({"context.type": "", "context.versionId": "v0", "context": []})


def take(follower: Follower, answer: bytes) -> tuple[object, ...]:
    return follower.take_read(read_current_context(answer), follower.begin_read())


def joined(*replayed: bytes) -> Follower:
    """A follower that received what is replayed, and then read that nothing is current."""
    follower = Follower(TOPIC)
    follower.connected()
    for it in replayed:
        follower.receive(it)
    take(follower, NOTHING)
    return follower


def following(*frames: bytes) -> Follower:
    """A follower that received these frames when everything was replayed and read."""
    follower = joined(open_frame(9, seconds=-9), close_frame(9, seconds=-8))
    for it in frames:
        follower.receive(it)
    return follower


def test_open_makes_the_context_current() -> None:
    """2.5, IRA-SUB-09: the open alone tells report, patient, study and version."""
    follower = following(open_frame())
    assert follower.current is not None
    assert follower.current.version_id == "v1"
    assert follower.current.association == (ANCHOR, "Patient/pt-1", ("ImagingStudy/is-1",))
    assert follower.in_sync


def test_late_joiner_knows_all_from_the_replayed_open() -> None:
    """EVT-11: understanding an open needs no other event."""
    follower = Follower(TOPIC)
    follower.connected()
    follower.receive(open_frame())
    assert follower.current is not None
    assert follower.current.patient == PATIENT
    assert follower.current.study == STUDY


def test_late_reopen_moves_nothing_back() -> None:
    """D-26, EVT-10: a close between the two opens means neither; the report stays open."""
    follower = following(
        open_frame(1, seconds=5), open_frame(1, seconds=0), close_frame(1, seconds=2)
    )
    assert follower.current is not None


def test_keys_are_read_as_they_are_spelled() -> None:
    """EVT-14, ACK-01: `Report` is no report; it opens nothing, and is answered all the same."""
    report, patient, study = case(1)
    follower = following()
    received, _changes = follower.receive(
        frame("DiagnosticReport-open", [item(report, "Report"), item(patient, "Patient")])
    )
    assert isinstance(received, Notification)
    assert follower.current is None
    follower.receive(frame("ImagingStudy-open", [item(study)]))
    assert follower.current is not None
    assert follower.current.anchor == "ImagingStudy/is-1"


def test_older_open_leaves_the_current_context() -> None:
    """EVT-10, D-26: a message older than the current open is passed over."""
    follower = following(open_frame(2, seconds=5))
    _message, changes = follower.receive(open_frame(1, seconds=0))
    assert follower.current is not None
    assert follower.current.anchor == ANCHOR_2
    assert [it.is_current for it in changes if isinstance(it, ContextOpened)] == [False]


def test_older_reopen_changes_nothing_but_its_version() -> None:
    """EVT-10, D-26: the close in between meant an earlier opening still; a GET tells for sure."""
    follower = following(open_frame(1, seconds=5), open_frame(1, seconds=0))
    follower.receive(close_frame(1, seconds=2))
    assert follower.current is not None
    assert follower.needs_read
    assert not follower.in_sync
    take(follower, got(1, "v1"))
    assert follower.in_sync


def test_older_reopen_with_a_new_version_takes_that_alone() -> None:
    """EVT-10, CONT-17: of a hub that goes by the order of arrival; what it shows is read."""
    follower = following(open_frame(1, seconds=5))
    follower.receive(open_frame(1, seconds=0, version="v2", prior="v1"))
    assert follower.current is not None
    assert (follower.current.version_id, follower.current.opened_at) == ("v2", after(5))
    assert follower.sync.needs_context


def test_older_open_after_the_close_becomes_current() -> None:
    """EVT-10, D-26: nothing is current that it could be older than."""
    follower = following(open_frame(2, seconds=5), close_frame(2, seconds=6))
    follower.receive(open_frame(1, seconds=0))
    assert follower.current is not None
    assert follower.current.anchor == ANCHOR
    assert follower.in_sync


def test_open_that_the_hub_counts_and_we_do_not_is_shown_after_the_read() -> None:
    """D-27: the hub may have forgotten a close that did not reach us."""
    follower = following(open_frame(2, seconds=5), open_frame(1, seconds=0))
    assert not follower.in_sync
    changes = take(follower, got(1, "v1"))
    assert isinstance(changes[0], ContextOpened)
    assert changes[0].context.anchor == ANCHOR
    assert changes[0].is_current


def test_older_open_of_an_unknown_context_may_lack_content() -> None:
    """REP-01, CONT-18: it was open before we joined, and is not the newest of its type."""
    follower = following(open_frame(2, seconds=5, version="w1"), open_frame(1, seconds=0))
    assert follower.contexts[ANCHOR].needs_context


def test_open_with_a_prior_version_that_is_not_known_may_lack_content() -> None:
    """REP-01, CONT-18: so does an open that counts, with what was shared before we joined."""
    follower = following(open_frame(1, version="v3", prior="v2"))
    assert follower.sync.needs_context


def test_close_of_a_context_known_from_a_read_is_asked_about() -> None:
    """D-26: whether it is older than its open is not known here."""
    follower = following()
    take(follower, got(1))
    follower.receive(close_frame(1))
    assert follower.current is None
    assert follower.needs_read


def test_answer_from_before_an_open_that_was_passed_over_is_too_old() -> None:
    """D-27, IRA-SUB-07: the hub may have counted it meanwhile."""
    follower = following(open_frame(2, seconds=5, version="w1"))
    ticket = follower.begin_read()
    follower.receive(open_frame(1, seconds=0))
    follower.take_read(read_current_context(got(2, "w1")), ticket)
    assert follower.needs_read


def test_reopen_older_than_the_current_open_is_passed_over() -> None:
    """EVT-10, D-26, D-27: a close that lies between them still ends the context, as at the hub."""
    follower = following(open_frame(1, seconds=0), open_frame(2, seconds=5))
    _message, changes = follower.receive(open_frame(1, seconds=3))
    assert not any(isinstance(it, ContextOpened) for it in changes)
    follower.receive(close_frame(1, seconds=2))
    assert list(follower.contexts) == [ANCHOR_2]


def test_close_is_compared_with_the_open_of_its_own_anchor() -> None:
    """D-26: a close that is older than the current open still closes its own context."""
    follower = following(open_frame(1, seconds=0), open_frame(2, seconds=5))
    _message, changes = follower.receive(close_frame(1, seconds=2))
    assert list(follower.contexts) == [ANCHOR_2]
    assert isinstance(changes[0], ContextClosed)


def test_close_older_than_its_open_is_passed_over() -> None:
    """D-26: it meant an earlier opening of the same report."""
    follower = following(open_frame(1, seconds=5))
    follower.receive(close_frame(1, seconds=2))
    assert follower.current is not None


def test_close_tells_when_it_happened() -> None:
    """IRA-W-01, IRA-SUB-06: with the context as it was last."""
    follower = following(open_frame(1, seconds=0))
    _message, changes = follower.receive(close_frame(1, seconds=2))
    assert isinstance(changes[0], ContextClosed)
    assert changes[0].context.closed_at == after(2)


def test_close_of_the_current_context_leaves_none() -> None:
    """CTX-04: no fall back to another open context."""
    follower = following(open_frame(1), open_frame(2, seconds=1), close_frame(2, seconds=2))
    assert follower.current is None
    assert list(follower.contexts) == [ANCHOR]


def test_update_moves_version_and_content() -> None:
    """CONT-10, CONT-17: PUT replaces, the version is kept."""
    follower = following(open_frame(), update_frame("v2", "v1", put(OBSERVATION)))
    current = follower.current
    assert current is not None
    assert (current.version_id, list(current.content)) == ("v2", ["Observation/ob-1"])
    assert follower.in_sync


def test_update_removes_content_and_its_selection() -> None:
    """CONT-11: DELETE removes; what is gone is not selected."""
    follower = following(
        open_frame(),
        update_frame("v2", "v1", put(OBSERVATION)),
        select_frame(ref("Observation/ob-1", "select"), version="v2"),
        update_frame("v3", "v2", delete("Observation/ob-1")),
    )
    assert follower.current is not None
    assert not follower.current.content
    assert not follower.current.selection


def test_status_comes_from_the_content() -> None:
    """CTX-07: the open says unknown for ever; the update tells the status."""
    final = {**REPORT, "status": "final"}
    follower = following(open_frame(), update_frame("v2", "v1", put(final)))
    assert follower.current is not None
    assert follower.current.status == "final"


def test_gap_wants_a_read() -> None:
    """CONT-18, IRA-SUB-04: a prior version that is not ours means that something is missing."""
    follower = following(open_frame(), update_frame("v3", "v2", put(OBSERVATION)))
    assert follower.needs_read
    assert not follower.in_sync
    take(follower, got(1, "v3", OBSERVATION, observation("ob-2")))
    assert follower.current is not None
    assert len(follower.current.content) == 2
    assert follower.in_sync


def test_selection_with_unknown_version_wants_a_read() -> None:
    """D-10: a selection shows the version, so that gaps are noticed."""
    follower = following(open_frame(), select_frame(version="v2"))
    assert follower.needs_read


def test_update_for_another_context_lands_there() -> None:
    """CONT-23, CONT-24, IRA-SUB-09: it names its report; patient and study are the report's own."""
    follower = following(
        open_frame(1), open_frame(2, seconds=1, version="w1"), update_frame("v2", "v1")
    )
    assert follower.contexts[ANCHOR].association[1:] == ("Patient/pt-1", ("ImagingStudy/is-1",))
    assert follower.contexts[ANCHOR].version_id == "v2"
    assert follower.contexts[ANCHOR_2].version_id == "w1"


def test_update_contained_in_the_read_is_skipped() -> None:
    """IRA-SUB-07: the broadcast arrives after a GET that already contained it."""
    follower = following(open_frame())
    take(follower, got(1, "v2", OBSERVATION))
    _message, changes = follower.receive(update_frame("v2", "v1", delete("Observation/ob-1")))
    assert not changes
    assert follower.current is not None
    assert follower.current.content


def test_replay_after_the_read_is_read_again() -> None:
    """REP-01: a context that is open but not current is replayed; only a GET tells that."""
    follower = joined()
    follower.receive(open_frame(1))
    assert follower.needs_read
    assert not follower.in_sync
    take(follower, NOTHING)
    assert follower.current is None
    assert not follower.needs_read


def test_further_opens_need_no_read() -> None:
    """REP-01: a replay holds one open per anchor type at most."""
    follower = joined()
    follower.receive(open_frame(1))
    take(follower, got(1, "v1"))
    follower.receive(open_frame(2, seconds=1))
    assert not follower.needs_read


def test_chain_contained_in_the_read_is_skipped() -> None:
    """IRA-SUB-07: several broadcasts may be on their way behind a GET."""
    follower = following(open_frame())
    take(follower, got(1, "v3", OBSERVATION))
    for version, prior in (("v2", "v1"), ("v3", "v2"), ("v4", "v3")):
        follower.receive(update_frame(version, prior))
    assert follower.current is not None
    assert follower.current.version_id == "v4"
    assert follower.in_sync


def test_older_answer_to_a_get_is_passed_over() -> None:
    """CONT-18: an update that arrived during the GET is not undone by its answer."""
    follower = following(open_frame())
    ticket = follower.begin_read()
    follower.receive(update_frame("v2", "v1", put(OBSERVATION)))
    changes = follower.take_read(read_current_context(got(1, "v1")), ticket)
    assert follower.current is not None
    assert follower.current.version_id == "v2"
    assert changes == ()  # it is no open: who put it off the screen is not shown it again (TAB-04)


def test_answer_from_before_a_switch_is_passed_over() -> None:
    """IRA-SUB-07: the case was switched while the GET was under way."""
    follower = following(open_frame(1))
    ticket = follower.begin_read()
    follower.receive(open_frame(2, seconds=1))
    follower.take_read(read_current_context(got(1, "v1")), ticket)
    assert follower.current is not None
    assert follower.current.anchor == ANCHOR_2


def test_read_of_another_context_counts_as_its_open() -> None:
    """IRA-SUB-07: handled as if the open had arrived."""
    follower = following(open_frame(1))
    changes = take(follower, got(2, "w1", OBSERVATION))
    assert follower.current is not None
    assert follower.current.anchor == ANCHOR_2
    assert isinstance(changes[0], ContextOpened)


def test_open_that_the_read_was_ahead_of_changes_nothing() -> None:
    """IRA-SUB-07: the replay arrives after the GET; it shows the first version (D-13)."""
    follower = Follower(TOPIC)
    follower.connected()
    take(follower, got(1, "v5", OBSERVATION))
    _message, changes = follower.receive(open_frame(1, version="v1"))
    assert not changes
    assert follower.current is not None
    assert follower.current.version_id == "v5"
    assert follower.in_sync


def test_read_without_context_leaves_none_current() -> None:
    """CTX-03: an empty type means that nothing is current."""
    follower = following(open_frame())
    changes = take(follower, NOTHING)
    assert follower.current is None
    assert isinstance(changes[0], NothingCurrent)


def test_reopen_goes_on_with_the_content() -> None:
    """D-11, TAB-03: the same report opened again keeps its content."""
    follower = following(
        open_frame(1),
        update_frame("v2", "v1", put(OBSERVATION)),
        open_frame(2, seconds=1, version="w1"),
        open_frame(1, seconds=2, version="v3", prior="v2"),
    )
    assert follower.current is not None
    assert follower.current.anchor == ANCHOR
    assert follower.current.content
    assert follower.in_sync


def test_reopen_after_a_missed_close_starts_empty_and_reads() -> None:
    """CONT-16: without a prior version the hub had closed it; what was shared is gone."""
    follower = following(
        open_frame(1),
        update_frame("v2", "v1", put(OBSERVATION)),
        open_frame(1, seconds=2, version="v9"),
    )
    assert follower.current is not None
    assert not follower.current.content
    assert follower.needs_read


def test_reopen_clears_the_selection() -> None:
    """IRA-CC-03: a selection is not carried over a resume."""
    follower = following(
        open_frame(1),
        select_frame(ref("Patient/pt-1", "select")),
        open_frame(1, seconds=2, version="v2", prior="v1"),
    )
    assert follower.current is not None
    assert not follower.current.selection


@pytest.mark.parametrize(
    "empty",
    [
        [],
        [{"key": "select", "reference": []}],
        [{"key": "select", "resource": []}],
        [{"key": "select"}],
    ],
)
def test_every_form_of_an_empty_selection_clears_it(empty: list[Json]) -> None:
    """SEL-02, D-09."""
    follower = following(open_frame(), select_frame(ref("Patient/pt-1", "select")))
    _message, changes = follower.receive(select_frame(*empty))
    assert isinstance(changes[0], SelectionChanged)
    assert changes[0].context.selection == ()


def test_selection_in_the_old_form_is_read() -> None:
    """D-09: one item with an array of references."""
    references = [{"reference": "Patient/pt-1"}, {"reference": "ImagingStudy/is-1"}]
    follower = following(open_frame(), select_frame({"key": "select", "reference": references}))
    assert follower.current is not None
    assert follower.current.selection == ("Patient/pt-1", "ImagingStudy/is-1")


def test_unknown_references_of_a_selection_are_ignored() -> None:
    """IRA-SUB-05."""
    chosen = [ref("Patient/pt-1", "select"), ref("Observation/none", "select")]
    follower = following(open_frame(), select_frame(*chosen))
    assert follower.current is not None
    assert follower.current.selection == ("Patient/pt-1",)


def test_home_open_keeps_contexts_open() -> None:
    """INF-04: no clinical context is shown, nothing is closed."""
    follower = following(open_frame(), frame("Home-open", [], at=after(1)))
    assert follower.current is None
    assert list(follower.contexts) == [ANCHOR]


def test_sync_error_names_who_and_why() -> None:
    """SYNC-04, SYNC-13."""
    follower = following(open_frame(id="e-1"))
    follower.receive(encode_notification(sync_error("e-1")))
    assert [it.subscriber for it in follower.sync.problems] == ["Dictation"]
    assert not follower.in_sync


def test_resent_open_changes_nothing_but_clears_its_sync_error() -> None:
    """SYNC-12, SYNC-13: everybody gets it again; who still refuses says so again."""
    follower = following(open_frame(id="e-1"), encode_notification(sync_error("e-1")))
    before = follower.current
    follower.receive(open_frame(id="e-1"))
    assert follower.current == before
    assert follower.in_sync


def test_newer_open_clears_sync_errors() -> None:
    """SYNC-13: cleared when a newer event is followed."""
    follower = following(open_frame(id="e-1"), encode_notification(sync_error("e-1")))
    follower.receive(open_frame(2, seconds=1))
    assert follower.in_sync


def test_update_does_not_clear_the_error_of_an_open() -> None:
    """SYNC-13: who shows another patient is not in sync because of new content."""
    follower = following(open_frame(id="e-1"), encode_notification(sync_error("e-1")))
    follower.receive(update_frame("v2", "v1"))
    assert not follower.in_sync


def test_event_that_was_too_large_is_out_of_sync_until_it_was_read() -> None:
    """CONT-19, SYNC-13: its version counts, its content is missing until a GET brings it."""
    follower = following(open_frame())
    event = read_frame(update_frame("v2", "v1", put(OBSERVATION)))
    assert isinstance(event, Notification)
    follower.pass_over(event)
    assert follower.contexts[ANCHOR].version_id == "v2"
    assert not follower.contexts[ANCHOR].content
    assert not follower.in_sync
    take(follower, got(1, "v2", OBSERVATION))
    assert follower.in_sync


def test_late_update_that_is_too_large_moves_no_version_back() -> None:
    """CONT-19, IRA-SUB-07: a GET already contained it."""
    follower = following(open_frame())
    take(follower, got(1, "v3", OBSERVATION))
    event = read_frame(update_frame("v2", "v1", put(OBSERVATION)))
    assert isinstance(event, Notification)
    follower.pass_over(event)
    assert follower.contexts[ANCHOR].version_id == "v3"


def test_own_refusal_is_out_of_sync_until_it_is_followed() -> None:
    """ACK-04, SYNC-13."""
    follower = following(open_frame(id="e-1"))
    follower.answered("e-1", "DiagnosticReport-open", 409)
    assert follower.sync.refused == "DiagnosticReport-open"
    follower.answered("e-1", "DiagnosticReport-open", 200)
    assert follower.in_sync


def test_lost_connection_is_out_of_sync() -> None:
    """SYNC-13."""
    follower = following(open_frame())
    follower.lost("close code 1006")
    assert follower.sync.reasons == ("connection lost: close code 1006",)


def test_denial_ends_the_subscription_with_its_reason() -> None:
    """CONF-07."""
    follower = following()
    follower.receive(encode({"hub.mode": "denied", "hub.topic": TOPIC, "hub.reason": "policy"}))
    assert follower.sync.connection is Connection.ENDED
    assert follower.sync.detail == "policy"


def test_content_by_reference_waits_to_be_fetched() -> None:
    """IRA-SUB-04: an entry may only say where its resource is."""
    url = "https://fhir.example.org/Observation/ob-7"
    entry = {"fullUrl": url, "request": {"method": "PUT", "url": "Observation/ob-7"}}
    follower = following(open_frame(), update_frame("v2", "v1", entry))
    assert follower.contexts[ANCHOR].references == {"Observation/ob-7": url}
    follower.fetched(ANCHOR, "Observation/ob-7", observation("ob-7"))
    assert follower.contexts[ANCHOR].content
    assert not follower.contexts[ANCHOR].references


def test_context_without_report_is_anchored_on_the_study() -> None:
    """D-49: what deployed clients send, if the hub lets it through."""
    items = [item(PATIENT), item(STUDY)]
    follower = following(frame("DiagnosticReport-open", items))
    assert follower.current is not None
    assert follower.current.anchor == "ImagingStudy/is-1"


def test_older_spelling_of_versions_is_read() -> None:
    """D-01."""
    value = message("DiagnosticReport-open", [item(it) for it in case(1)])
    value["event"]["versionId"] = "v1"
    assert following(encode(value)).contexts[ANCHOR].version_id == "v1"


def test_logout_is_handed_on() -> None:
    """INF-02."""
    parameter = {"name": "code", "valueCoding": {"code": "system-timeout"}}
    items = [item({"resourceType": "Parameters", "parameter": [parameter]})]
    _message, changes = following().receive(frame("UserLogout", items))
    assert changes == (LogoutRequested("system-timeout"),)


@pytest.mark.parametrize("name", ["org.example.thing", "Foo-zap", "UserHibernate"])
def test_other_events_are_handed_on_and_want_an_answer(name: str) -> None:
    """ACK-01: every notification is answered, an unknown one too."""
    received, changes = following().receive(frame(name, []))
    assert isinstance(received, Notification)
    assert isinstance(changes[0], OtherEvent)


@pytest.mark.parametrize("junk", [b"\xff\x00", b"{", b"[]", b"7", b'{"hub.channel.endpoint":"x"}'])
def test_frames_that_say_nothing_are_passed_over(junk: bytes) -> None:
    """GEN-02, D-38."""
    assert following().receive(junk) == (None, ())


def test_events_of_another_topic_change_nothing() -> None:
    """SEC-04."""
    items = [item(it) for it in case(1)]
    follower = following(frame("DiagnosticReport-open", items, topic="other"))
    assert follower.current is None


def test_context_the_hub_does_not_confirm_is_not_shown_as_in_sync() -> None:
    """After a reconnect, what neither replay nor GET shows is not listed as open."""
    follower = following(open_frame(1), open_frame(2, seconds=1, version="w1"))
    follower.lost()
    follower.connected()
    take(follower, got(2, "w1"))
    assert list(follower.contexts) == [ANCHOR_2]


def test_update_without_gap_confirms_a_context_again() -> None:
    """CONT-17: it was open all the time, and nothing was missed."""
    follower = following(open_frame(1), open_frame(2, seconds=1, version="w1"))
    follower.connected()
    take(follower, got(2, "w1"))
    follower.receive(update_frame("v2", "v1", put(OBSERVATION)))
    assert ANCHOR in follower.contexts


def test_older_home_open_is_passed_over_and_asked_about() -> None:
    """INF-04, D-21, D-27."""
    follower = following(open_frame(1, seconds=5), frame("Home-open", [], at=after(2)))
    assert follower.current is not None
    assert follower.needs_read


def test_hub_that_forgot_the_topic_has_nothing_open() -> None:
    """D-33: 404 after a restart; the session starts anew."""
    follower = following(open_frame(1))
    follower.connected()
    changes = follower.take_read(None, follower.begin_read())
    assert isinstance(changes[0], ContextClosed)
    assert follower.current is None


def test_full_resources_keep_their_digits() -> None:
    """EVT-18: what others wrote is sent on as it came, 8.20 stays 8.20."""
    value = update_frame("v2", "v1", put(observation("ob-1", 8.25))).replace(b"8.25", b"8.20")
    follower = following(open_frame(), value)
    assert b"8.20" in encode(follower.contexts[ANCHOR].content["Observation/ob-1"])


def test_replaced_content_is_told_with_what_changed() -> None:
    """IRA-SUB-07: the whole set is replaced; the application learns the difference."""
    follower = following(open_frame(), update_frame("v2", "v1", put(OBSERVATION)))
    changes = take(follower, got(1, "v7", observation("ob-2")))
    change = changes[0]
    assert isinstance(change, ContentChanged)
    assert (change.changed, change.removed) == (("Observation/ob-2",), ("Observation/ob-1",))
