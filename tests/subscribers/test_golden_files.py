"""The standard's own examples through the subscriber's readers and its replica."""

from __future__ import annotations

import json

import pytest
from fhircast_hub.protocol.events import EventKind
from fhircast_subscribers.follower import Follower
from fhircast_subscribers.sync import read_sync_error
from fhircast_subscribers.wire import (
    Confirmation,
    Denial,
    Notification,
    encode,
    read_current_context,
    read_frame,
    target_of,
    write_answer,
)
from golden import events, exact, fsh_path, of_kind, opening_of, sharing_of, text, value
from golden_table import IG, UNREADABLE, Kind

EVENTS = events()


def read(name: str) -> Notification:
    notification = read_frame(EVENTS[name])
    assert isinstance(notification, Notification)
    return notification


def of_event_kind(kind: EventKind) -> list[str]:
    return [name for name in EVENTS if read(name).kind is kind]


@pytest.mark.parametrize("name", EVENTS)
def test_a_notification_is_read_whole(name: str) -> None:
    """ACK-01, EVT-18: id, name, time, and every item with the digits of its numbers."""
    notification, sent = read(name), exact(EVENTS[name])
    assert notification.happened_at is not None
    assert notification.name is not None
    assert (notification.id, notification.topic) == (sent["id"], sent["event"]["hub.topic"])
    assert exact(encode(notification.items)) == sent["event"]["context"]
    assert notification.version_id == sent["event"].get("context.versionId", "")
    assert notification.prior_version_id == sent["event"].get("context.priorVersionId", "")


@pytest.mark.parametrize("name", of_event_kind(EventKind.OPEN))
def test_an_open_stands_alone(name: str) -> None:
    """EVT-11: one frame is enough to show the context."""
    follower = _joined(name)
    follower.receive(EVENTS[name])
    shown = follower.current.items if follower.current else ()
    assert exact(encode(shown)) == exact(EVENTS[name])["event"]["context"]


@pytest.mark.parametrize("name", of_event_kind(EventKind.CLOSE))
def test_a_close_ends_what_was_opened(name: str) -> None:
    """IRA-SUB-06."""
    follower = _opened(name)
    follower.receive(EVENTS[name])
    assert not follower.contexts


@pytest.mark.parametrize("name", of_event_kind(EventKind.UPDATE))
def test_an_update_is_applied(name: str) -> None:
    """CONT-10, CONT-11, CONT-17: what was put is there, the version is the event's."""
    follower = _opened(name)
    follower.receive(EVENTS[name])
    event = json.loads(EVENTS[name])["event"]
    updates = next(it["resource"] for it in event["context"] if it["key"] == "updates")
    was_put = {target_of(it) for it in updates["entry"] if it["request"]["method"] == "PUT"}
    assert follower.current is not None
    assert set(follower.current.content) == was_put
    assert follower.current.version_id == event["context.versionId"]


@pytest.mark.parametrize("name", of_event_kind(EventKind.SELECT))
def test_a_selection_selects_what_was_shared(name: str) -> None:
    """SEL-01, SEL-02, IRA-SUB-05: all of it, or nothing after an empty one."""
    follower, event = _opened(name), json.loads(EVENTS[name])
    sharing = sharing_of(event, "v1")
    if sharing is not None:
        follower.receive(json.dumps(sharing))
    follower.receive(EVENTS[name])
    selected = [it["reference"] for it in event["event"]["context"] if it["key"] == "select"]
    assert follower.current is not None
    assert list(follower.current.selection) == [it["reference"] for it in selected if it]


@pytest.mark.parametrize("name", [it for it in EVENTS if "sync" in it.lower()])
def test_a_sync_error_names_who_and_what(name: str) -> None:
    """SYNC-04, D-02: also where the page spells the third system differently."""
    problem = read_sync_error(read(name))
    codes = read(name).items[0]["resource"]["issue"][0]["details"]["coding"]
    named = (problem.event_id, problem.event_name, problem.subscriber)
    assert list(named) == [it["code"] for it in codes[:3]]
    assert problem.diagnostics


@pytest.mark.parametrize("path", of_kind(Kind.CONFIRMATION))
def test_a_confirmation_is_read(path: str) -> None:
    """CONF-01."""
    example = value(path)
    names = tuple(example["hub.events"].split(","))
    expected = Confirmation(example["hub.topic"], names, example["hub.lease_seconds"])
    assert read_frame(text(path)) == expected


@pytest.mark.parametrize("path", of_kind(Kind.DENIAL))
def test_a_denial_is_read(path: str) -> None:
    """CONF-05."""
    example = value(path)
    assert read_frame(text(path)) == Denial(example["hub.topic"], example["hub.reason"])


@pytest.mark.parametrize("path", of_kind(Kind.RESPONSE))
def test_a_response_is_written_like_the_example(path: str) -> None:
    """ACK-01, D-04: the status is a string."""
    example = value(path)
    assert exact(write_answer(example["id"], int(example["status"]))) == exact(text(path))


@pytest.mark.parametrize("path", of_kind(Kind.CURRENT_CONTEXT))
def test_a_current_context_is_read(path: str) -> None:
    """CTX-02 … CTX-06: the items as opened, and the content by its keys."""
    example, view = value(path), read_current_context(text(path))
    items = [it for it in exact(text(path))["context"] if it["key"] != "content"]
    assert exact(encode(view.items)) == items
    assert (view.anchor_type, bool(view.anchor)) == (example["context.type"], bool(items))
    assert view.version_id == example.get("context.versionId", "")
    content = example["context"][-1]["resource"]["entry"] if items else []
    assert list(view.content) == [target_of(it) for it in content]


def test_the_content_of_the_profile_s_example_is_read() -> None:
    """CTX-06: the example of the content Bundle in an answer to a GET."""
    content = value(fsh_path("FHIRcastGetCurrentContentBundle-Example"))
    example = value(f"{IG}/2-9-GetCurrentContext/01-current-context.json")
    example["context"][-1] = {"key": "content", "resource": content}
    view = read_current_context(json.dumps(example))
    assert dict(view.content) == {"Observation/435098234": content["entry"][0]["resource"]}


def test_a_broken_current_context_is_refused() -> None:
    """CTX-02: the page as printed lacks a comma."""
    with pytest.raises(ValueError, match="malformed"):
        read_current_context(text(UNREADABLE[0]))


@pytest.mark.parametrize("path", of_kind(Kind.TOKEN))
def test_a_token_answer_names_the_session(path: str) -> None:
    """SMART-03: what an application needs to join stands beside the token."""
    answer = value(path)
    assert answer["hub.url"].startswith("https://")
    assert answer["hub.topic"]


def _joined(name: str) -> Follower:
    follower = Follower(json.loads(EVENTS[name])["event"]["hub.topic"])
    follower.connected()
    return follower


def _opened(name: str) -> Follower:
    follower = _joined(name)
    opening = opening_of(json.loads(EVENTS[name]))
    follower.receive(json.dumps(opening))
    assert follower.current is not None
    return follower
