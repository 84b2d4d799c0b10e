"""The standard's own examples through the hub's parsers: read, kept, written without a change."""

from __future__ import annotations

import json

import pytest
from fhircast_hub.protocol.errors import InvalidRequest
from fhircast_hub.protocol.judging import decide
from fhircast_hub.protocol.messages import (
    encode_confirmation,
    encode_denial,
    encode_notification,
    parse_notification,
    parse_response,
)
from fhircast_hub.protocol.session import Decision, Rules, Session
from fhircast_hub.protocol.subscription import endpoint_id_of, parse_subscription_request
from golden import FOLDER, events, exact, fsh_path, of_kind, parts_in_events, text, value
from golden_table import KINDS, REFUSED, UNREADABLE, Kind

EVENTS = events()


def test_every_file_is_in_the_table() -> None:
    """No example of the standard is left out."""
    files = {str(it.relative_to(FOLDER)) for it in FOLDER.glob("*/**/*.[jt]*") if it.is_file()}
    assert files == {*KINDS, *REFUSED, *UNREADABLE}


def test_every_printed_text_has_its_mended_file() -> None:
    """What was mended stands beside what was printed."""
    printed = [it for it in (*REFUSED, *UNREADABLE) if it.endswith(".published.txt")]
    assert {it.replace(".published.txt", ".json") for it in printed} <= set(KINDS)


def test_every_resource_is_in_an_event_or_an_answer() -> None:
    """The resources among the examples are no events; each of them is carried by one."""
    read_elsewhere = {fsh_path("FHIRcastGetCurrentContentBundle-Example")}
    assert set(of_kind(Kind.RESOURCE)) == parts_in_events() | read_elsewhere


@pytest.mark.parametrize("name", EVENTS)
def test_an_event_is_forwarded_as_it_came(name: str) -> None:
    """EVT-05, CONT-22, GEN-04: every field, the order and the digits of every number."""
    body = EVENTS[name]
    notification = parse_notification(body.encode())
    spelling = json.loads(body)["event"]["hub.event"]
    frame = encode_notification(notification, spelling)
    assert exact(frame) == exact(body)
    assert list(exact(frame)["event"]) == _with_versions_after_name(list(exact(body)["event"]))


def _with_versions_after_name(fields: list[str]) -> list[str]:
    versions = [it for it in fields if it.startswith("context.")]
    others = [it for it in fields if it not in versions]
    at = others.index("hub.event") + 1
    return [*others[:at], *versions, *others[at:]]


@pytest.mark.parametrize("path", REFUSED)
def test_a_text_that_is_no_event_is_refused(path: str) -> None:
    """EVT-02, EVT-09, EVT-15, GEN-01: with the field and the reason."""
    with pytest.raises(InvalidRequest) as refused:
        _decided(text(path))
    assert str(refused.value).startswith(REFUSED[path])


def _decided(body: str) -> Decision:
    notification = parse_notification(body.encode())
    session = Session(topic="any", version_id="v0")
    now = notification.happened_at
    return decide(session, notification, version_id="v1", now=now, rules=Rules())


@pytest.mark.parametrize("path", UNREADABLE)
def test_a_text_that_is_no_json_is_known_as_such(path: str) -> None:
    """The printed texts that were mended for their commas."""
    with pytest.raises(json.JSONDecodeError):
        json.loads(text(path))


@pytest.mark.parametrize("path", of_kind(Kind.RESPONSE))
def test_a_response_is_read(path: str) -> None:
    """2.5, ACK-05: id and status, a numeric string."""
    response = parse_response(text(path))
    assert response is not None
    assert (response.id, str(response.status)) == (value(path)["id"], value(path)["status"])


@pytest.mark.parametrize("path", of_kind(Kind.CONFIRMATION))
def test_a_confirmation_is_written_like_the_example(path: str) -> None:
    """CONF-01: the same fields, the lease a number."""
    example = value(path)
    names = example["hub.events"].split(",")
    frame = encode_confirmation(example["hub.topic"], names, example["hub.lease_seconds"])
    assert exact(frame) == exact(text(path))


@pytest.mark.parametrize("path", of_kind(Kind.DENIAL))
def test_a_denial_is_written_like_the_example(path: str) -> None:
    """CONF-05."""
    example = value(path)
    names = example["hub.events"].split(",")
    frame = encode_denial(example["hub.topic"], names, example["hub.reason"])
    assert exact(frame) == exact(text(path))


@pytest.mark.parametrize("path", of_kind(Kind.FORM))
def test_a_form_is_read(path: str) -> None:
    """SUB-02 … SUB-04, UNS-01: mode, topic, events; the endpoint without the line end in it."""
    request = parse_subscription_request(text(path).strip().encode(), ira=False)
    assert request.topic in text(path)
    if request.is_unsubscribe:
        assert request.endpoint_id
        assert request.endpoint_id.strip() == request.endpoint_id
    else:
        assert f"hub.events={','.join(request.events.values())}" in text(path)


@pytest.mark.parametrize("path", of_kind(Kind.ENDPOINT))
def test_an_endpoint_is_read(path: str) -> None:
    """SUB-14: the one field of the answer, a WebSocket URL with an unguessable end."""
    (endpoint,) = value(path).values()
    assert endpoint.startswith("wss://")
    assert endpoint.endswith(endpoint_id_of(endpoint))
