from __future__ import annotations

from urllib.parse import urlencode

import pytest
from builders import NOON, TOPIC, after
from fhircast_hub.protocol.errors import Forbidden, InvalidRequest
from fhircast_hub.protocol.scopes import parse_scopes
from fhircast_hub.protocol.subscription import (
    MAX_EVENTS,
    LeasePolicy,
    Subscription,
    SubscriptionRequest,
    endpoint_id_of,
    narrow_events,
    parse_subscription_request,
    shared_events,
)

ENDPOINT = "wss://hub.example.org/api/hub/ws/Zk3v9QeT0aB7mXr2LwYc5g"
SUBSCRIBE = {
    "hub.channel.type": "websocket",
    "hub.mode": "subscribe",
    "hub.topic": TOPIC,
    "hub.events": "Patient-open,SyncError",
    "subscriber.name": "Acme Viewer",
}
UNSUBSCRIBE = {
    "hub.channel.type": "websocket",
    "hub.mode": "unsubscribe",
    "hub.topic": TOPIC,
    "hub.channel.endpoint": ENDPOINT,
}


def form(base: dict[str, str], *, ira: bool = False, **changed: str | None) -> SubscriptionRequest:
    """Parse the form with these fields changed (`__` stands for a dot); None leaves one out."""
    fields = {**base, **{key.replace("__", "."): it for key, it in changed.items()}}
    body = urlencode({key: it for key, it in fields.items() if it is not None})
    return parse_subscription_request(body.encode(), ira=ira)


def test_a_subscribe_form_is_read() -> None:
    """2.4: SUB-01 … SUB-04, SUB-18."""
    request = form(SUBSCRIBE, hub__lease_seconds="7200")
    assert request == SubscriptionRequest(
        is_unsubscribe=False,
        topic=TOPIC,
        events={"patient-open": "Patient-open", "syncerror": "SyncError"},
        lease_seconds=7200,
        endpoint_id="",
        subscriber_name="Acme Viewer",
    )


def test_a_re_subscribe_names_its_endpoint() -> None:
    """2.4: SUB-11."""
    request = form(SUBSCRIBE, hub__channel__endpoint=ENDPOINT)
    assert request.endpoint_id == "Zk3v9QeT0aB7mXr2LwYc5g"


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("hub.channel.type", None),
        ("hub.channel.type", "webhook"),
        ("hub.channel.type", ""),
        ("hub.mode", None),
        ("hub.mode", "foo"),
        ("hub.topic", None),
        ("hub.topic", ""),
        ("hub.topic", "x" * 257),
        ("hub.events", None),
        ("hub.events", ""),
        ("hub.events", " , "),
        ("hub.events", "*-open"),
        ("hub.events", "Patient-*"),
        ("hub.events", ",".join(f"org.example.e{it}" for it in range(MAX_EVENTS + 1))),
        ("hub.lease_seconds", ""),
        ("hub.lease_seconds", "0"),
        ("hub.lease_seconds", "-5"),
        ("hub.lease_seconds", "1.5"),
        ("hub.lease_seconds", "abc"),
        ("hub.lease_seconds", "٣"),
        ("subscriber.name", "x" * 257),
        ("hub.channel.endpoint", "wss://[x/ws/y"),
    ],
)
def test_a_faulty_field_is_named(field: str, wrong: str | None) -> None:
    """2.4: SUB-02 … SUB-04, SUB-07, SUB-08, SUB-13."""
    with pytest.raises(InvalidRequest) as caught:
        form(SUBSCRIBE, ira=False, **{field.replace(".", "__"): wrong})
    assert caught.value.field == field


@pytest.mark.parametrize("field", [*SUBSCRIBE, "hub.lease_seconds", "hub.channel.endpoint"])
def test_no_field_comes_twice(field: str) -> None:
    """2.4: SUB-05, even with the same value."""
    fields = [*SUBSCRIBE.items(), ("hub.lease_seconds", "1"), ("hub.channel.endpoint", ENDPOINT)]
    twice = urlencode([*fields, *(it for it in fields if it[0] == field)]).encode()
    with pytest.raises(InvalidRequest, match="twice") as caught:
        parse_subscription_request(twice, ira=False)
    assert caught.value.field == field


def test_events_are_a_set() -> None:
    """2.4: SUB-06, repeats in any case count once; the first spelling stays (D-30)."""
    request = form(SUBSCRIBE, hub__events="Patient-OPEN,patient-open, org.example.aidone")
    assert request.events == {
        "patient-open": "Patient-OPEN",
        "org.example.aidone": "org.example.aidone",
    }


def test_unknown_fields_are_passed_over() -> None:
    """D-47: a legacy hub.callback or hub.secret beside websocket is ignored, repeats included."""
    body = urlencode([*SUBSCRIBE.items(), ("hub.callback", "x"), ("other", "1"), ("other", "2")])
    assert parse_subscription_request(body.encode(), ira=False).topic == TOPIC


def test_legacy_names_of_fields_are_read() -> None:
    """D-47: `endpoint`, `hub.lease`."""
    request = form(SUBSCRIBE, endpoint=ENDPOINT, hub__lease="60")
    assert request.endpoint_id == endpoint_id_of(ENDPOINT)
    assert request.lease_seconds == 60


def test_the_standards_own_names_win_over_legacy_ones() -> None:
    """D-47: a client that sends both means the same, and no field is refused for it."""
    request = form(SUBSCRIBE, hub__lease="60", hub__lease_seconds="70")
    assert request.lease_seconds == 70
    body = urlencode([*SUBSCRIBE.items(), ("endpoint", ENDPOINT), ("endpoint", ENDPOINT)])
    with pytest.raises(InvalidRequest, match=r"^endpoint: occurs twice"):
        parse_subscription_request(body.encode(), ira=False)


def test_an_unknown_field_that_comes_twice_is_not_quoted() -> None:
    """SUB-05, SEC-03: only a name that the standard could use is shown."""
    body = urlencode([*SUBSCRIBE.items(), ("hub. x", "1"), ("hub. x", "2")])
    with pytest.raises(InvalidRequest, match=r"^\?: occurs twice"):
        parse_subscription_request(body.encode(), ira=False)


@pytest.mark.parametrize("asked", ["99999999999", "0" * 20 + "86401", "9" * 6000])
def test_a_lease_of_any_length_is_granted_up_to_the_maximum(asked: str) -> None:
    """2.4, SUB-08: above the maximum the maximum is granted."""
    lease = form(SUBSCRIBE, hub__lease_seconds=asked).lease_seconds
    assert LeasePolicy().grant(lease, now=NOON, token_expires_at=None) == 86_400


def test_the_name_is_optional_but_for_ira() -> None:
    """D-36, RAD-146: IRA-HUB-04."""
    assert form(SUBSCRIBE, subscriber__name=None).subscriber_name == ""
    for name in (None, "", "  "):
        with pytest.raises(InvalidRequest, match=r"^subscriber\.name"):
            form(SUBSCRIBE, ira=True, subscriber__name=name)
    assert form(SUBSCRIBE, ira=True).subscriber_name == "Acme Viewer"


def test_an_unsubscribe_form_is_read() -> None:
    """2.4: UNS-01, UNS-04; events and lease are ignored (OLD-01)."""
    request = form(UNSUBSCRIBE, ira=True, hub__events="*-open", hub__lease_seconds="abc")
    assert request.is_unsubscribe
    assert (request.endpoint_id, request.events) == (endpoint_id_of(ENDPOINT), {})
    assert request.lease_seconds is None


def test_ira_wants_the_endpoint_of_an_unsubscribe() -> None:
    """RAD-152: IRA-HUB-13, where the base profile finds it by the name (D-48)."""
    for endpoint in (None, ""):
        assert form(UNSUBSCRIBE, hub__channel__endpoint=endpoint).endpoint_id == ""
        with pytest.raises(InvalidRequest, match=r"^hub\.channel\.endpoint: missing"):
            form(UNSUBSCRIBE, ira=True, hub__channel__endpoint=endpoint)


def test_a_topic_of_blanks_is_empty() -> None:
    """2.4: SUB-03."""
    with pytest.raises(InvalidRequest, match=r"^hub\.topic"):
        form(SUBSCRIBE, hub__topic="  ")


@pytest.mark.parametrize("body", [b"\xff", b"hub.topic=%ff", b"a=1&" * 100])
def test_what_is_no_form_is_refused(body: bytes) -> None:
    """2.4: SUB-01."""
    with pytest.raises(InvalidRequest, match=r"^body: "):
        parse_subscription_request(body, ira=False)


@pytest.mark.parametrize("body", [b"", b'{"hub.mode":"subscribe"}', b"hub.mode"])
def test_a_body_without_the_fields_is_refused(body: bytes) -> None:
    """2.4: SUB-01, SUB-02."""
    with pytest.raises(InvalidRequest, match=r"^hub\.channel\.type"):
        parse_subscription_request(body, ira=False)


@pytest.mark.parametrize(
    ("asked", "granted"), [(None, 7200), (1, 1), (3600, 3600), (86_400, 86_400), (10**9, 86_400)]
)
def test_a_lease_is_as_asked_up_to_the_maximum(asked: int | None, granted: int) -> None:
    """2.4: SUB-08."""
    assert LeasePolicy().grant(asked, now=NOON, token_expires_at=None) == granted


def test_a_lease_never_outlives_the_token() -> None:
    """2.4: SUB-09."""
    assert LeasePolicy().grant(7200, now=NOON, token_expires_at=after(60.9)) == 60
    assert LeasePolicy().grant(30, now=NOON, token_expires_at=after(60)) == 30


@pytest.mark.parametrize("left", [0.9, 0, -5])
def test_a_token_about_to_expire_gives_no_lease(left: float) -> None:
    """2.4: SUB-09."""
    with pytest.raises(Forbidden):
        LeasePolicy().grant(None, now=NOON, token_expires_at=after(left))


@pytest.mark.parametrize(
    ("expires_in", "left"), [(None, 60), (3600, 60), (59.9, 59), (0.9, 0), (-5, 0)]
)
def test_the_lease_of_a_late_connection_ends_with_the_token(
    expires_in: float | None, left: int
) -> None:
    """2.4: SUB-09, CONF-06; the time between the 202 and the connection counts."""
    expires_at = None if expires_in is None else after(expires_in)
    record = Subscription(TOPIC, "e", {}, 60, "Viewer", "", NOON, token_expires_at=expires_at)
    assert record.lease_left(NOON) == left


def test_events_are_narrowed_to_what_the_token_may_read() -> None:
    """2.2, 2.4: CONF-02, SCO-02."""
    scopes = parse_scopes("fhircast/Patient-open.read fhircast/SyncError.write")
    asked = {"patient-open": "Patient-OPEN", "syncerror": "SyncError"}
    granted = narrow_events(asked, lambda key: scopes.allow(key, "read"))
    assert granted == {"patient-open": "Patient-OPEN"}


def test_records_with_the_same_events_share_them() -> None:
    """2.4: thousands of subscriptions; none can change what another one was granted."""
    asked = {"patient-open": "Patient-OPEN", "syncerror": "SyncError"}
    granted = narrow_events(asked, lambda _key: True)
    assert narrow_events(dict(asked), lambda _key: True) is granted
    assert list(shared_events(dict(reversed(asked.items())))) == ["syncerror", "patient-open"]
    with pytest.raises(TypeError):
        granted["home-open"] = "Home-open"  # type: ignore[index]  # which is what is to be shown
    many = {f"org.example.e{it}": "x" for it in range(100)}
    assert shared_events(many) == many


def test_a_token_for_none_of_the_events_is_refused() -> None:
    """2.2: SCO-02."""
    with pytest.raises(Forbidden, match=r"hub\.events"):
        narrow_events({"syncerror": "SyncError"}, lambda _key: False)


@pytest.mark.parametrize("url", [ENDPOINT, ENDPOINT + "?x=1", "Zk3v9QeT0aB7mXr2LwYc5g"])
def test_the_endpoint_id_is_the_last_part_of_the_url(url: str) -> None:
    """2.4: SUB-11, UNS-01."""
    assert endpoint_id_of(url) == "Zk3v9QeT0aB7mXr2LwYc5g"


def test_an_endpoint_without_an_id_is_no_request_for_a_new_subscription() -> None:
    """2.4: SUB-11; a re-subscribe that names no endpoint of ours is refused."""
    with pytest.raises(InvalidRequest) as caught:
        form(SUBSCRIBE, hub__channel__endpoint="wss://hub.example.org/api/hub/ws/")
    assert caught.value.field == "hub.channel.endpoint"
