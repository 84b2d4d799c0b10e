"""A notification is read the same in the short way and step by step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from builders import PATIENT, REPORT, STUDY, Json, item, message, ref
from fhircast_hub.protocol.errors import InvalidRequest
from fhircast_hub.protocol.messages import encode_notification, parse_notification
from fhircast_hub.protocol.parsing import parse_stepwise
from hypothesis import given
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Callable

    from fhircast_hub.protocol.notification import EventNotification

OPEN = message("DiagnosticReport-open", [item(it) for it in (REPORT, PATIENT, STUDY)], id="e-1")
SELECT = message(
    "DiagnosticReport-select",
    [ref("DiagnosticReport/dr-1", "report"), ref("https://x.example/Observation/1", "select")],
    version_id="v1",
)
OTHER = message("org.example.thing", [item(PATIENT)], version_id="v1")

ODD: list[Any] = ["", "x", None, 1, [], {}, [1], {"x": 1}, "x" * 300, "Patient/1"]
NAMES = ["hub.event", "hub.topic", "context", "id", "key", "resource", "reference", "extension"]
NAMES += ["context.versionId", "context.priorVersionId", "versionId", "timestamp", "event", "x"]
NAMES += ["resourceType"]


def places(node: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) in a JSON value."""
    if not isinstance(node, dict | list):
        return []
    keys = list(node) if isinstance(node, dict) else list(range(len(node)))
    return [(node, key) for key in keys] + [it for key in keys for it in places(node[key])]


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """A message with some values, names or spaces changed."""
    value = msgspec.json.decode(msgspec.json.encode(draw(st.sampled_from([OPEN, SELECT, OTHER]))))
    for _ in range(draw(st.integers(0, 2))):
        container, key = draw(st.sampled_from(places(value)))
        change = draw(st.sampled_from(["replace", "remove", "add"]))
        if change == "remove":
            del container[key]
        elif change == "add" and isinstance(container, dict):
            container[draw(st.sampled_from(NAMES))] = draw(st.sampled_from(ODD))
        else:
            container[key] = draw(st.sampled_from(ODD))
    order: Any = draw(st.sampled_from([None, "sorted"]))
    body = msgspec.json.encode(value, order=order)
    return msgspec.json.format(body, indent=draw(st.sampled_from([-1, 0, 2])))


def told(notification: EventNotification) -> list[Any]:
    """Everything that is known of a notification, except how its fields are kept."""
    event = {key: it for key, it in notification.event.items() if key != "context"}
    return [
        *(getattr(notification, it) for it in notification.__struct_fields__[:9]),
        notification.raw_context,
        list(notification.outer),
        list(event),
        msgspec.json.decode(msgspec.json.encode(event)),
        msgspec.json.decode(encode_notification(notification)),
    ]


def outcome(parse: Callable[[], EventNotification]) -> list[Any]:
    """What becomes of a body, or what is wrong with it."""
    try:
        return told(parse())
    except InvalidRequest as fault:
        return [str(fault), fault.rule]


@given(body=bodies())
def test_there_is_one_way_to_read_a_notification(body: bytes) -> None:
    """2.3, 2.5: EVT-02, GEN-05; the same values, and the same words about the same fault."""
    at_once = outcome(lambda: parse_notification(body))
    digest = at_once[8] if len(at_once) > 8 else b""
    assert outcome(lambda: parse_stepwise(body, digest)) == at_once


@pytest.mark.parametrize("indent", [-1, 0, 2])
@pytest.mark.parametrize("sent", [OPEN, SELECT])
def test_the_context_is_kept_as_it_came_wherever_it_stands(sent: Json, indent: int) -> None:
    """CONT-22: spaces between the items and fields behind it included."""
    orders: list[Any] = [None, "sorted"]
    for order in orders:
        for last in ({}, {"context.priorVersionId": "v0"}):
            value = {**sent, "event": {**sent["event"], **last}}
            body = msgspec.json.format(msgspec.json.encode(value, order=order), indent=indent)
            found = parse_notification(body).raw_context
            assert found in body
            assert msgspec.json.decode(found) == sent["event"]["context"]


def test_nothing_of_a_context_is_in_the_text_of_a_value() -> None:
    """SEC-03: neither a log nor a traceback may tell what was opened."""
    notification = parse_notification(msgspec.json.encode(OPEN))
    for shown in (notification, notification.context, notification.context[1]):
        assert "441" not in repr(shown)
        assert "pt-1" not in repr(shown)


@pytest.mark.parametrize(
    "item",
    [
        '{"key":"patient","resource":{"resourceType":"Patient","id":"p"}}',
        '{ "key" : "patient", "resource" : {"resourceType":"Patient","id":"p"} }',
        '{"resource":{"resourceType":"Patient","id":"p"},"key":"patient"}',
        '{"key":"patient","resource":{"resourceType":"Patient","id":"p"},"more":1}',
    ],
)
def test_a_resource_is_cut_out_as_it_came(item: str) -> None:
    """EVT-12: whatever stands around it, and in whichever order."""
    fields = '{"timestamp":"2026-01-01T00:00:00Z","id":"e","event":{"hub.topic":"t","hub.event":'
    body = f'{fields}"Patient-open","context":[{item}]}}}}'
    [entry] = parse_notification(body.encode()).context
    assert entry.resource == b'{"resourceType":"Patient","id":"p"}'
