"""A hub with bearer tokens, on the wire: who gets in, what is narrowed, how long it lasts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jwt
import pytest
from builders import TOPIC
from fhircast_conformance.wire import REPORT_EVENTS
from fhircast_hub.cli.token import mint_token
from wire_messages import (
    codings,
    denied_and_closed,
    only_marker_comes,
    open_request,
    patient_request,
    update_request,
)

if TYPE_CHECKING:
    from hub_server import RunningHub, StartHub

KEY = "a key for tests only, 32 characters and more"


def token(
    scope: str = "fhircast/*.*",
    *,
    subject: str = "user",
    client_id: str = "viewer",
    issuer: str = "",
    audience: str = "",
    topic: str = "",
    seconds: int = 600,
    key: str = KEY,
) -> str:
    return mint_token(
        key,
        scope=scope,
        subject=subject,
        client_id=client_id,
        seconds=seconds,
        topic=topic,
        issuer=issuer,
        audience=audience,
    )


def good_token(*, seconds: int = 600, key: str = KEY) -> str:
    """A token as the guarded hub wants it."""
    return token(seconds=seconds, key=key, issuer="https://as.example", audience="hub")


@pytest.fixture
async def guarded(start_hub: StartHub) -> RunningHub:
    return await start_hub(auth="jwt", jwt_key=KEY, issuer="https://as.example", audience="hub")


BAD_TOKENS = {
    "none": "",
    "garbage": "x.y.z",
    "expired": good_token(seconds=-60),
    "another key": good_token(key="another key, which is as long as this one is"),
    "another issuer": token(issuer="https://evil.example", audience="hub"),
    "another audience": token(issuer="https://as.example", audience="other"),
    "no audience": token(issuer="https://as.example"),
    "unsigned": jwt.encode({"scope": "fhircast/*.*", "exp": 9_999_999_999}, "", algorithm="none"),
    "no end": jwt.encode({"iss": "https://as.example", "aud": "hub"}, KEY, algorithm="HS256"),
}


@pytest.mark.parametrize("name", BAD_TOKENS)
async def test_a_bad_token_opens_nothing(guarded: RunningHub, name: str) -> None:
    """SUB-10: 401 with WWW-Authenticate at every door, and the token is not repeated."""
    wire = await guarded.client(BAD_TOKENS[name])
    for answer in (
        await wire.subscribe(TOPIC),
        await wire.unsubscribe(TOPIC, "x"),
        await wire.post(open_request()),
        await wire.get(TOPIC),
    ):
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.headers["content-type"].startswith("text/plain")
        assert not BAD_TOKENS[name] or BAD_TOKENS[name] not in answer.text


async def test_a_good_token_opens_the_hub_but_the_socket_needs_none(guarded: RunningHub) -> None:
    """SUB-10, SUB-17: the endpoint itself is the secret."""
    wire = await guarded.client(good_token())
    endpoint = (await wire.subscribe(TOPIC)).json()["hub.channel.endpoint"]
    socket = await (await guarded.wire.connect(endpoint)).confirmed()
    sent = open_request()
    assert (await wire.post(sent)).status_code == 202
    assert (await socket.next())["id"] == sent["id"]
    assert (await wire.context(TOPIC))["context.type"] == "DiagnosticReport"


async def test_events_are_narrowed_to_the_scopes(start_hub: StartHub) -> None:
    """CONF-02, SCO-02, EVT-19: the confirmation lists what is granted, and no more comes.

    CTX-08, D-33: of the report only what a Patient-open would show, in the event and in the GET.
    """
    hub = await start_hub(auth="jwt", jwt_key=KEY)
    sender = await hub.client(token())
    scope = "openid fhircast/PATIENT-open.read fhircast/org.example.marker.read"
    reader = await hub.client(token(scope))
    asked = ["DiagnosticReport-open", "Patient-open", "org.example.marker"]
    socket = await reader.join(TOPIC, asked)
    assert socket.confirmation["hub.events"] == "Patient-open,org.example.marker"
    await sender.post(open_request())
    frame = await socket.followed()
    assert frame["event"]["hub.event"] == "Patient-open"
    await only_marker_comes(sender, socket)
    view = await reader.context(TOPIC)
    assert (view["context.type"], view["context"]) == ("Patient", frame["event"]["context"])


async def test_a_renewal_is_narrowed_too(start_hub: StartHub) -> None:
    """SUB-12: the granted list is confirmed on the open socket."""
    hub = await start_hub(auth="jwt", jwt_key=KEY)
    wire = await hub.client(token("fhircast/Patient-open.read"))
    socket = await wire.join(TOPIC, ["Patient-open"])
    await wire.subscribe(
        TOPIC, ["Patient-open", "Home-open"], hub__channel__endpoint=socket.endpoint
    )
    assert (await socket.next())["hub.events"] == "Patient-open"


@pytest.mark.parametrize("scope", ["", "openid", "fhircast/Patient-open.write", "fhircast/P*.read"])
async def test_no_readable_event_is_403(start_hub: StartHub, scope: str) -> None:
    """SCO-02: and no topic is made."""
    hub = await start_hub(auth="jwt", jwt_key=KEY)
    wire = await hub.client(token(scope))
    answer = await wire.subscribe(TOPIC, ["Patient-open"])
    assert answer.status_code == 403
    assert (await (await hub.client(token())).get(TOPIC)).status_code == 404


async def test_a_request_needs_the_write_scope(start_hub: StartHub) -> None:
    """SCO-03: 403, nobody hears of it."""
    hub = await start_hub(auth="jwt", jwt_key=KEY)
    all_rights = await hub.client(token())
    socket = await all_rights.join(TOPIC, ["Patient-open", "org.example.marker"])
    reader = await hub.client(token("fhircast/*.read fhircast/Patient-close.write"))
    assert (await reader.post(patient_request())).status_code == 403
    await only_marker_comes(all_rights, socket)


async def test_a_token_bound_to_a_topic_opens_no_other(start_hub: StartHub) -> None:
    """SMART-08: 403 for another topic, existing or not, at every door."""
    hub = await start_hub(auth="jwt", jwt_key=KEY)
    other = await (await hub.client(token())).join("other", ["Patient-open", "org.example.marker"])
    wire = await hub.client(token(topic=TOPIC))
    await wire.join(TOPIC)
    for topic in ("other", "nowhere"):
        for answer in (
            await wire.subscribe(topic),
            await wire.unsubscribe(topic, other.endpoint),
            await wire.post(patient_request(topic=topic)),
            await wire.get(topic),
        ):
            assert answer.status_code == 403


@pytest.mark.parametrize("thief", [{"subject": "other"}, {"client_id": "other"}])
async def test_another_subject_may_not_touch_a_subscription(
    start_hub: StartHub, thief: dict[str, Any]
) -> None:
    """UNS-05, SUB-11, D-48: neither by endpoint nor by name; it goes on."""
    hub = await start_hub(auth="jwt", jwt_key=KEY)
    owner, other = await hub.client(token()), await hub.client(token(**thief))
    socket = await owner.join(TOPIC, ["org.example.marker"], name="Viewer")
    renewal = {"hub__channel__endpoint": socket.endpoint}
    assert (await other.subscribe(TOPIC, ["Patient-open"], **renewal)).status_code == 400
    assert (await other.unsubscribe(TOPIC, socket.endpoint)).status_code == 400
    by_name = {
        "hub.channel.type": "websocket",
        "hub.mode": "unsubscribe",
        "hub.topic": TOPIC,
        "subscriber.name": "Viewer",
    }
    assert (await other.form(by_name)).status_code == 400
    await only_marker_comes(owner, socket)
    assert (await owner.unsubscribe(TOPIC, socket.endpoint)).status_code == 202


async def test_the_lease_ends_with_the_token(start_hub: StartHub) -> None:
    """SUB-09: never longer than the token, and then it is over."""
    hub = await start_hub(auth="jwt", jwt_key=KEY)
    wire = await hub.client(token(seconds=3))
    socket = await wire.join(TOPIC, hub__lease_seconds="7200")
    assert socket.confirmation["hub.lease_seconds"] in {1, 2, 3}
    assert await denied_and_closed(socket) == ("lease ended", 1000)


# A request that is rejected after its 202 (EVT-06)


async def test_a_late_rejection_reaches_the_requester_only(start_hub: StartHub) -> None:
    """EVT-06, IRA-HUB-16: 202, then a SyncError naming the id; the others hear nothing."""
    hub = await start_hub(auth="jwt", jwt_key=KEY, reject="late")
    requester, other = await hub.client(token()), await hub.client(token(client_id="other"))
    mine = await requester.join(TOPIC, [*REPORT_EVENTS, "org.example.marker"], name="Viewer")
    theirs = await other.join(TOPIC, [*REPORT_EVENTS, "org.example.marker"])
    sent = update_request("v-unknown")
    answer = await requester.post(sent)
    assert (answer.status_code, answer.json()) == (202, {"id": sent["id"]})
    frame = await mine.followed()
    assert codings(frame)["eventid"] == sent["id"]
    assert codings(frame)["eventname"] == "DiagnosticReport-update"
    assert codings(frame)["subscribername"] == "Viewer"
    await only_marker_comes(requester, mine, theirs)


async def test_what_is_wrong_in_itself_is_refused_at_once(start_hub: StartHub) -> None:
    """EVT-06: only the fit to the state is judged late; and only if somebody can be told."""
    hub = await start_hub(auth="jwt", jwt_key=KEY, reject="late")
    wire = await hub.client(token())
    await wire.join(TOPIC, ["Patient-open"])
    assert (await wire.post(update_request("v-unknown"))).status_code == 409
    await wire.join(TOPIC)
    assert (await wire.post(update_request(""))).status_code == 202
    first = patient_request(1, id="e-1")
    assert (await wire.post(first)).status_code == 202
    assert (await wire.post(patient_request(2, id="e-1"))).status_code == 409
    del first["event"]["context"]
    assert (await wire.post(first)).status_code == 400
