from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from builders import (
    NOON,
    PATIENT,
    REPORT,
    STUDY,
    TOPIC,
    Json,
    close_event,
    event,
    item,
    judge,
    message,
    new_session,
    parsed,
    ref,
    value,
)
from fhircast_hub.protocol.errors import InvalidRequest
from fhircast_hub.protocol.messages import (
    MAX_ID_LENGTH,
    encode_confirmation,
    encode_denial,
    encode_notification,
    format_timestamp,
    make_notification,
    parse_notification,
    parse_response,
    parse_timestamp,
    reference_key,
)

CLOSE = message("Patient-close", [item(PATIENT)], id="e-1")


def changed(path: str, new: Any) -> Json:
    """The close with one field of the message or of its event replaced."""
    outer: Json = value(msgspec.json.encode(CLOSE))
    (outer["event"] if path in outer["event"] else outer)[path] = new
    return outer


def lacking(path: str) -> Json:
    outer: Json = value(msgspec.json.encode(CLOSE))
    del (outer["event"] if path in outer["event"] else outer)[path]
    return outer


def with_context(*items: Any) -> Json:
    return changed("context", list(items))


def frame(body: bytes) -> bytes:
    return encode_notification(parse_notification(body))


# Reading


def test_a_notification_is_read() -> None:
    """2.5, 2.6: EVT-02."""
    notification = parsed(message("Patient-close", [item(PATIENT)], id="e-1"))
    assert (notification.id, notification.topic) == ("e-1", TOPIC)
    assert notification.name.spelling == "Patient-close"
    assert notification.happened_at == NOON
    [entry] = notification.entries("patient")
    assert (entry.target, value(entry.resource)) == ("Patient/pt-1", PATIENT)


@pytest.mark.parametrize("path", ["timestamp", "id", "event", "hub.topic", "hub.event", "context"])
def test_every_required_field_is_demanded_by_name(path: str) -> None:
    """2.3, 2.5, 2.6: EVT-02."""
    with pytest.raises(InvalidRequest, match=f"^{path}: missing"):
        parsed(lacking(path))


@pytest.mark.parametrize("path", ["timestamp", "id", "hub.topic", "hub.event"])
@pytest.mark.parametrize("new", ["", None, 7, [], {}])
def test_every_required_field_is_text_and_not_empty(path: str, new: Any) -> None:
    """2.3, 2.5: EVT-02."""
    with pytest.raises(InvalidRequest, match=f"^{path}: "):
        parsed(changed(path, new))


@pytest.mark.parametrize("new", [{}, None, "x", 1])
def test_the_context_is_an_array(new: Any) -> None:
    """2.3: EVT-02."""
    with pytest.raises(InvalidRequest, match=r"^context: "):
        parsed(changed("context", new))


@pytest.mark.parametrize("new", [[], "x", None])
def test_the_event_is_an_object(new: Any) -> None:
    """2.5: EVT-02."""
    with pytest.raises(InvalidRequest, match=r"^event: "):
        parsed(changed("event", new))


@pytest.mark.parametrize("path", ["id", "hub.topic"])
def test_ids_have_a_bound(path: str) -> None:
    """2.5: everything that can grow has a bound."""
    parsed(changed(path, "x" * MAX_ID_LENGTH))
    with pytest.raises(InvalidRequest, match=f"^{path}: longer"):
        parsed(changed(path, "x" * (MAX_ID_LENGTH + 1)))


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b"\xff", b'"x"', b"{}x", b"[" * 50_000, b'{"id": NaN}']
)
def test_what_is_no_json_object_is_refused(body: bytes) -> None:
    """2: GEN-01."""
    with pytest.raises(InvalidRequest, match=r"^body: "):
        parse_notification(body)


@pytest.mark.parametrize(
    "entry",
    [
        "patient",
        {},
        {"resource": PATIENT},
        {"key": 1, "resource": PATIENT},
        {"key": "patient", "resource": "Patient/pt-1"},
        {"key": "patient", "resource": None},
        {"key": "patient", "resource": {"id": "pt-1"}},
        {"key": "patient", "resource": {"resourceType": "", "id": "pt-1"}},
        {"key": "patient", "resource": {"resourceType": "Patient", "id": 1}},
        {"key": "select", "resource": [PATIENT]},
    ],
)
def test_a_context_holds_only_fhir_json(entry: Any) -> None:
    """2, 2.3: GEN-05."""
    with pytest.raises(InvalidRequest, match=r"^context"):
        parsed(with_context(entry))


def test_an_error_never_quotes_the_sender() -> None:
    """SEC-03: no patient data in an error text."""
    with pytest.raises(InvalidRequest) as caught:
        parsed(with_context({"key": "Smith, Jane", "resource": {"resourceType": 1978}}))
    assert "Smith" not in str(caught.value)
    assert "1978" not in str(caught.value)


@pytest.mark.parametrize(
    ("entry", "target"),
    [
        (item(PATIENT), "Patient/pt-1"),
        (ref("Patient/pt-1", "patient"), "Patient/pt-1"),
        (ref("https://x.example/fhir/Patient/pt-1", "patient"), "Patient/pt-1"),
        ({"key": "patient", "resource": {"resourceType": "Patient"}}, ""),
        ({"key": "patient", "reference": {"identifier": {"value": "1"}}}, ""),
        ({"key": "patient", "reference": []}, ""),
        ({"key": "patient", "reference": "Patient/pt-1"}, ""),
        ({"key": "patient", "string": "x"}, ""),
        ({"key": "select", "resource": []}, ""),
    ],
)
def test_an_entry_says_what_it_holds_or_points_to(entry: Json, target: str) -> None:
    """2.3: EVT-15; the empty selections of D-09."""
    [found] = parsed(with_context(entry)).context
    assert found.target == target


@pytest.mark.parametrize(
    "raw",
    [
        '{"key":"patient","resource":%s}',
        '{"resource":%s,"key":"patient"}',
        '{"key":"patient","resource":%s,"x":1}',
        ' { "key" : "patient", "resource" : %s }',
        '{"k\\u0065y":"patient","resource":%s}',
    ],
)
def test_a_resource_is_cut_out_wherever_it_stands(raw: str) -> None:
    """2.3: GEN-05, CONT-22; as it came."""
    resource = '{"resourceType":"Patient","id":"pt-1","x":8.20}'
    body = msgspec.json.encode(with_context()).replace(b"[]", f"[{raw % resource}]".encode())
    [entry] = parse_notification(body).context
    assert entry.resource == resource.encode()


@pytest.mark.parametrize("spelling", ["context.versionId", "versionId"])
@pytest.mark.parametrize(("sent", "read"), [("v1", "v1"), ("", ""), (None, "")])
def test_both_spellings_of_the_version_are_read(spelling: str, sent: Any, read: str) -> None:
    """D-01."""
    body = changed("hub.event", "Patient-close")
    body["event"][spelling] = sent
    assert parsed(body).version_id == read


@pytest.mark.parametrize("spelling", ["context.priorVersionId", "priorVersionId"])
def test_both_spellings_of_the_prior_version_are_read(spelling: str) -> None:
    """D-01."""
    body = changed("hub.event", "Patient-close")
    body["event"][spelling] = "v0"
    assert parsed(body).prior_version_id == "v0"


def test_a_version_is_text() -> None:
    """2.3: CONT-02."""
    body = changed("hub.event", "Patient-close")
    body["event"]["context.versionId"] = 1
    with pytest.raises(InvalidRequest, match=r"^context\.versionId"):
        parsed(body)


def test_the_digest_is_of_the_json_value() -> None:
    """D-28: spacing and order of fields do not make another body; another value does."""
    body = msgspec.json.encode(CLOSE)
    reordered = msgspec.json.format(msgspec.json.encode(CLOSE, order="sorted"), indent=4)
    first, second = parse_notification(body), parse_notification(reordered)
    assert first.digest == second.digest
    assert first.digest != parsed(changed("timestamp", "2026-03-02T12:00:01Z")).digest


# Timestamps


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-02T12:00:00Z",
        "2026-03-02T12:00:00.000Z",
        "2026-03-02T12:00:00",
        "2026-03-02T13:00:00+01:00",
        "2026-03-02T12:00:00.000000000Z",
    ],
)
def test_timestamps_are_read_as_utc(text: str) -> None:
    """2.5: EVT-09; no zone reads as UTC (D-27)."""
    moment = parse_timestamp(text)
    assert (moment, moment.utcoffset()) == (NOON, timedelta(0))


@pytest.mark.parametrize(
    "text", ["", "noon", "2026-03-02T010:38:00Z", "2026-13-02T12:00:00Z", "1772452800", "12:00:00Z"]
)
def test_an_unparsable_timestamp_is_refused(text: str) -> None:
    """2.5: EVT-09, D-27."""
    with pytest.raises(InvalidRequest, match=r"^timestamp"):
        parse_timestamp(text)


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_a_timestamp_beyond_the_calendar_is_refused(text: str) -> None:
    """D-27: unparsable is 400, never a crash."""
    with pytest.raises(InvalidRequest, match=r"^timestamp"):
        parse_timestamp(text)


@pytest.mark.parametrize(
    "text", ["2026-03-02", "20260302", "2026-W10-1", "2026-03-02x12:00", "2026-03-02T12", "T12:00"]
)
def test_a_date_without_a_time_is_no_moment(text: str) -> None:
    """2.5, EVT-09, D-27: an instant needs its time; only the zone may be left out."""
    with pytest.raises(InvalidRequest, match=r"^timestamp"):
        parse_timestamp(text)


@pytest.mark.parametrize(
    "items",
    [
        [item(PATIENT), item(PATIENT)],
        [item({"resourceType": "Basic", "id": "b"}, "patient")],
    ],
)
def test_a_proprietary_event_is_opaque(items: list[Json]) -> None:
    """2.3, EVT-13: its keys and versions are between those who know it, and pass unchanged."""
    sent = message("org.example.thing", items)
    sent["event"] |= {"versionId": 7, "context.priorVersionId": {"a": 1}}
    decision = judge(new_session(), parsed(sent))
    assert decision.broadcast is not None
    assert value(encode_notification(decision.broadcast)) == sent


EXTENSION = {"x": [1.50, {"y": None}]}


@pytest.mark.parametrize("where", ["message", "event", "item", "key"])
def test_an_extension_passes_unchanged(where: str) -> None:
    """2.8, GEN-04: at every level, and as an item of its own."""
    sent = message("Patient-open", [item(PATIENT), {"key": "extension", "data": EXTENSION}])
    if where != "key":
        place = {"message": sent, "event": sent["event"], "item": sent["event"]["context"][0]}
        place[where]["extension"] = EXTENSION
    decision = judge(new_session(), parsed(sent))
    assert decision.broadcast is not None
    shown = value(encode_notification(decision.broadcast))
    del shown["event"]["context.versionId"]
    assert shown == sent


@pytest.mark.parametrize("wrong", [[], "x", 1, None, True])
@pytest.mark.parametrize("where", ["message", "event", "item"])
def test_an_extension_is_an_object(where: str, wrong: object) -> None:
    """2.8, GEN-04."""
    sent = message("Patient-open", [item(PATIENT)])
    place = {"message": sent, "event": sent["event"], "item": sent["event"]["context"][0]}
    place[where]["extension"] = wrong
    with pytest.raises(InvalidRequest, match=r"^extension: "):
        parsed(sent)


def test_our_timestamps_end_in_z() -> None:
    """D-50."""
    moment = datetime(2026, 3, 2, 13, 0, 0, 5_000, tzinfo=timezone(timedelta(hours=1)))
    assert format_timestamp(moment) == "2026-03-02T12:00:00.005Z"
    assert parse_timestamp(format_timestamp(NOON)) == NOON


# Writing


def test_a_broadcast_is_the_request_with_the_versions() -> None:
    """2.5, 2.6: EVT-05, CONT-04, D-01; nothing else is touched (GEN-04, CONT-22)."""
    extension = {"key": "extension", "data": {"x": 1}}
    request = message("Patient-open", [item(PATIENT), extension], id="e-1")
    broadcast = value(encode_notification(parsed(request).with_versions("v2", "v1")))
    assert broadcast["event"].pop("context.versionId") == "v2"
    assert broadcast["event"].pop("context.priorVersionId") == "v1"
    assert broadcast == request


def test_the_context_is_forwarded_byte_for_byte() -> None:
    """2.10: CONT-22, GEN-05; digits, spacing and unknown fields stay."""
    context = (
        b'[ {"key":"patient", "resource":{"resourceType":"Patient","id":"p","x":8.20, "y":1e2}} ]'
    )
    body = msgspec.json.encode(CLOSE).replace(msgspec.json.encode([item(PATIENT)]), context)
    assert context in frame(body)
    assert parse_notification(body).raw_context == context


@pytest.mark.parametrize("spelling", ["context.versionId", "versionId", "priorVersionId"])
def test_versions_of_the_requester_do_not_reach_the_broadcast(spelling: str) -> None:
    """D-01, D-10: only the hub's versions do."""
    body = changed("hub.event", "Patient-close")
    body["event"][spelling] = "forged"
    broadcast = value(encode_notification(parsed(body).with_versions("")))
    assert set(broadcast["event"]) == {"hub.topic", "hub.event", "context"}


def test_fields_around_the_event_pass_through() -> None:
    """2.5: unknown fields stay."""
    body = {**CLOSE, "more": [1, "ü"]}
    assert value(frame(msgspec.json.encode(body))) == body


@pytest.mark.parametrize(
    ("spelling", "shown"), [("patient-CLOSE", "patient-CLOSE"), ("", "Patient-close")]
)
def test_each_subscriber_sees_its_own_spelling(spelling: str, shown: str) -> None:
    """D-30."""
    sent = encode_notification(close_event(PATIENT), spelling)
    assert value(sent)["event"]["hub.event"] == shown


def test_another_context_takes_the_place_of_the_first() -> None:
    """RAD-151: what IRA-HUB-12 needs."""
    notification = event("DiagnosticReport-open", item(REPORT), item(STUDY))
    kept = notification.with_context([notification.context[1].raw])
    assert [entry.key for entry in kept.context] == ["study"]
    assert value(encode_notification(kept))["event"]["context"] == [item(STUDY)]


def test_our_own_messages_are_written_like_any_other() -> None:
    """2.5, D-50."""
    notification = make_notification(
        id="s-1", happened_at=NOON, topic=TOPIC, event="Home-open", context=[]
    )
    assert value(encode_notification(notification)) == {
        "timestamp": "2026-03-02T12:00:00.000Z",
        "id": "s-1",
        "event": {"hub.topic": TOPIC, "hub.event": "Home-open", "context": []},
    }
    assert notification.happened_at.tzinfo is UTC


def test_the_confirmation_has_four_fields() -> None:
    """2.4: CONF-01."""
    assert value(encode_confirmation(TOPIC, ["Patient-open", "SyncError"], 7200)) == {
        "hub.mode": "subscribe",
        "hub.topic": TOPIC,
        "hub.events": "Patient-open,SyncError",
        "hub.lease_seconds": 7200,
    }


def test_the_denial_names_topic_events_and_reason() -> None:
    """2.4: CONF-05."""
    assert value(encode_denial(TOPIC, ["Patient-open"], "lease ended")) == {
        "hub.mode": "denied",
        "hub.topic": TOPIC,
        "hub.events": "Patient-open",
        "hub.reason": "lease ended",
    }


# Responses


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ('{"id":"e-1","status":200}', 200),
        ('{"id":"e-1","status":"200"}', 200),
        ('{"id":"e-1","status":"409"}', 409),
        ('{"id":"e-1","status":503.0}', 503),
        ('{"id":"e-1"}', None),
        ('{"id":"e-1","status":null}', None),
        ('{"id":"e-1","status":"OK"}', None),
        ('{"id":"e-1","status":true}', None),
        ('{"id":"e-1","status":{"code":500}}', None),
        ('{"id":"e-1","timestamp":"2026-03-02T12:00:00Z"}', None),
    ],
)
def test_a_response_is_read_tolerantly(sent: str, status: int | None) -> None:
    """2.5: ACK-05, D-04, D-41."""
    for frame_ in (sent, sent.encode()):
        response = parse_response(frame_)
        assert response is not None
        assert (response.id, response.status) == ("e-1", status)


@pytest.mark.parametrize(
    "sent",
    [
        '{"hub.channel.endpoint":"wss://x"}',
        '{"status":200}',
        '{"id":7,"status":200}',
        "[]",
        "{",
        "",
        b"\xff\x00",
        "[" * 50_000,
    ],
)
def test_other_frames_are_no_response(sent: str | bytes) -> None:
    """D-38, GEN-02: ignored, never an error."""
    assert parse_response(sent) is None


# References


@pytest.mark.parametrize(
    ("reference", "key"),
    [
        ("Patient/pt-1", "Patient/pt-1"),
        ("https://x.example/fhir/Patient/pt-1", "Patient/pt-1"),
        ("Patient/pt-1/_history/3", "Patient/pt-1"),
        ("https://x.example/fhir/Patient/pt-1/_history/3", "Patient/pt-1"),
        ("urn:uuid:8d1f6c1c-41f1-4c0e-9a52-7b1d5b0f0a01", ""),
        ("#contained", ""),
        ("Patient/", ""),
        ("pt-1", ""),
        ("", ""),
    ],
)
def test_a_reference_ends_in_type_and_id(reference: str, key: str) -> None:
    """FHIR references, relative, absolute or versioned; D-06."""
    assert reference_key(reference) == key
