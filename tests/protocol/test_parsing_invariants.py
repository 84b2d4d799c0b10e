"""Whatever comes from outside is read or refused; nothing else can be raised (GEN-01, GEN-02)."""

from __future__ import annotations

import contextlib
from itertools import count
from typing import Any

import msgspec
import pytest
from builders import (
    BASE,
    ENCOUNTER,
    IRA,
    NOON,
    OBSERVATION,
    PATIENT,
    REPORT,
    STUDY,
    Json,
    bundle,
    event,
    item,
    judge,
    message,
    opened,
    put,
    ref,
    value,
)
from fhircast_hub.protocol.content import UpdateRules, parse_updates
from fhircast_hub.protocol.dialects import Dialect, with_post_ids
from fhircast_hub.protocol.errors import FhircastError
from fhircast_hub.protocol.events import parse_event_name, parse_subscribed_name
from fhircast_hub.protocol.messages import (
    encode_notification,
    parse_notification,
    parse_response,
    parse_timestamp,
    reference_key,
)
from fhircast_hub.protocol.scopes import parse_scopes
from fhircast_hub.protocol.session import Rules
from fhircast_hub.protocol.subscription import parse_subscription_request
from fhircast_hub.protocol.views import encode_current_context, replay
from hypothesis import given
from hypothesis import strategies as st

NAMELESS = {key: it for key, it in OBSERVATION.items() if key != "id"}
POST = {"request": {"method": "POST"}, "resource": NAMELESS}
DIALECTS = Rules(ira=True, dialects=frozenset(Dialect))
STRICT = Rules(refuses_post=True, refuses_profile_faults=True, updates_current_only=True)

_ref = ref("DiagnosticReport/dr-1", "report")
VALID: list[Json] = [
    message("DiagnosticReport-open", [item(it) for it in (REPORT, PATIENT, STUDY)]),
    message("DiagnosticReport-close", [item(REPORT)]),
    message(
        "DiagnosticReport-update",
        [_ref, item(bundle(put(PATIENT), put(REPORT), put(OBSERVATION)), "updates")],
        version_id="v1",
    ),
    message("DiagnosticReport-select", [_ref, ref("Observation/ob-1", "select")]),
    message(
        "SyncError",
        [item({"resourceType": "OperationOutcome", "issue": [{"code": "processing"}]})],
    ),
    message(
        "DiagnosticReport-select",
        [_ref, {"key": "select", "reference": [{"reference": "Observation/ob-1"}]}],
    ),
    message("DiagnosticReport-open", [item(STUDY)]),
    message("DiagnosticReport-close", [item(REPORT), item(STUDY)]),
    message(
        "DiagnosticReport-update",
        [
            item(STUDY),
            item(bundle({"request": {"method": "POST"}, "resource": NAMELESS}), "updates"),
        ],
    ),
    message("Encounter-open", [item(ENCOUNTER), item(PATIENT)]),
    message("org.example.thing", [item(PATIENT), {"key": "extension", "data": {}}]),
]

text = st.text(max_size=20) | st.sampled_from(["Patient", "Patient/pt-1", "v1", "PUT", "report"])
numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
json = st.recursive(
    st.none() | st.booleans() | numbers | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=8,
)


def places(node: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) in a JSON value."""
    if not isinstance(node, dict | list):
        return []
    keys = list(node) if isinstance(node, dict) else list(range(len(node)))
    return [(node, key) for key in keys] + [it for key in keys for it in places(node[key])]


@st.composite
def nearly_valid(draw: st.DrawFn) -> bytes:
    """A valid message with one value in it replaced."""
    body = value(msgspec.json.encode(draw(st.sampled_from(VALID))))
    container, key = draw(st.sampled_from(places(body)))
    container[key] = draw(json)
    return msgspec.json.encode(body)


@given(body=st.binary(max_size=200) | json.map(msgspec.json.encode))
def test_bytes_are_read_or_refused(body: bytes) -> None:
    """GEN-01, GEN-02, SUB-13."""
    parse_response(body)
    with contextlib.suppress(FhircastError):
        parse_notification(body)
    with contextlib.suppress(FhircastError):
        parse_subscription_request(body, ira=False)
    with contextlib.suppress(FhircastError):
        parse_updates(body, opened={}, rules=UpdateRules())


@given(words=st.text(max_size=60))
def test_text_is_read_or_refused(words: str) -> None:
    """GEN-02, SCO-01."""
    parse_response(words)
    parse_scopes(words)
    reference_key(words)
    for parse in (parse_event_name, parse_subscribed_name, parse_timestamp):
        with contextlib.suppress(FhircastError):
            parse(words)


@given(when=st.datetimes(timezones=st.timezones()))
def test_every_timestamp_keeps_its_moment(when: Any) -> None:
    """2.5: EVT-09, D-27."""
    with contextlib.suppress(FhircastError):
        assert parse_timestamp(when.isoformat()).utcoffset() == NOON.utcoffset()


@pytest.mark.parametrize(
    "rules", [BASE, IRA, DIALECTS, STRICT], ids=["base", "ira", "dialects", "strict"]
)
@given(body=nearly_valid())
def test_a_request_is_judged_or_refused_and_what_is_accepted_can_be_shown(
    rules: Rules, body: bytes
) -> None:
    """2.3, 2.6: EVT-03; 2xx or 4xx, and the state can always be sent and read."""
    session = opened()
    if rules is DIALECTS:
        session = judge(session, event("DiagnosticReport-open", item(STUDY)), "v1", rules).session
    try:
        request = with_post_ids(parse_notification(body), map(str, count()))
        decision = judge(session, request, "v2", rules)
    except FhircastError:
        return
    assert decision.broadcast is not None
    assert value(encode_notification(decision.broadcast))["id"] == value(body)["id"]
    value(encode_current_context(decision.session, lambda _name: True))
    for notification in replay(decision.session, lambda _name: True):
        value(encode_notification(notification))


@given(body=nearly_valid())
def test_a_broadcast_differs_from_its_request_by_versions_and_spelling_only(body: bytes) -> None:
    """2.5, 2.6: EVT-05, GEN-04, CONT-22."""
    ours = {"hub.event", "context.versionId", "context.priorVersionId"}
    ours |= {"versionId", "priorVersionId"}
    try:
        sent = value(encode_notification(parse_notification(body)))
    except FhircastError:
        return
    came = value(body)
    for message_ in (sent, came):
        message_["event"] = {key: it for key, it in message_["event"].items() if key not in ours}
    assert sent == came
