"""Tokens on the express way: each event is judged by its own, and by what that is worth now."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from builders import OBSERVATION, TOPIC, put
from fhircast_hub.cli.token import mint_token
from fhircast_hub.clock import SystemClock
from issuing import EC, RSA, introspection_server, jwk, jwks, key_server, signed
from publisher import armed, post, posted, watch
from wire_messages import (
    ALL_EVENTS,
    codings,
    marker,
    only_marker_comes,
    patient_request,
    update_request,
)

if TYPE_CHECKING:
    from fhircast_conformance.wire import Socket
    from hub_server import RunningHub, StartHub
    from raw_http import Answer

KEY = "a key for tests only, 32 characters and more"


def token(scope: str = "fhircast/*.*", *, topic: str = "", subject: str = "user") -> str:
    return mint_token(
        KEY, scope=scope, subject=subject, client_id="viewer", seconds=600, topic=topic
    )


@pytest.fixture
async def hub(start_hub: StartHub) -> RunningHub:
    return await start_hub(auth="jwt", jwt_key=KEY)


async def joined(hub: RunningHub, token: str) -> Socket:
    return await (await hub.client(token)).join(TOPIC, ALL_EVENTS)


def check_refused(answer: Answer) -> None:
    assert answer.status == 401
    assert dict(answer.headers)["www-authenticate"].startswith("Bearer")


async def test_an_event_with_a_token_goes_the_express_way(hub: RunningHub) -> None:
    """SUB-10, EVT-03: it was verified with the first."""
    await joined(hub, token())
    seen = watch(hub)
    async with armed(hub, token=(mine := token())) as connection:
        assert (await post(connection, marker(), token=mine)).status == 202
    assert seen.usual == 1


async def test_another_token_is_judged_for_itself(hub: RunningHub) -> None:
    """SUB-10, SCO-03, SMART-08: no token, a bad one, one with less rights, of another topic."""
    socket = await joined(hub, good := token())
    others = {
        "": 401,
        good[:-2] + "xx": 401,
        token("fhircast/*.read"): 403,
        token("fhircast/Home-open.write"): 403,
        token(topic="other"): 403,
        token(subject="another user"): 202,
    }
    async with armed(hub, token=good) as connection:
        for other, status in others.items():
            assert (await post(connection, patient_request(), token=other)).status == status
            assert (await post(connection, marker(), token=good)).status == 202
    opens = 0
    for _ in range(1 + len(others) + 1):
        opens += (await socket.followed())["event"]["hub.event"] == "Patient-open"
    assert opens == 1
    await only_marker_comes(await hub.client(good), socket)


async def test_each_event_needs_its_own_right(hub: RunningHub) -> None:
    """SCO-03: the same token, another event."""
    await joined(hub, token())
    mine = token("fhircast/org.example.marker.write")
    async with armed(hub, token=mine) as connection:
        assert (await post(connection, patient_request(), token=mine)).status == 403
        assert (await post(connection, marker(), token=mine)).status == 202


async def test_each_event_needs_its_own_topic(hub: RunningHub) -> None:
    """SMART-08: a token that is bound to one publishes to no other."""
    await joined(hub, token())
    await (await hub.client(token())).join("other", ALL_EVENTS)
    mine = token(topic=TOPIC)
    async with armed(hub, token=mine) as connection:
        assert (await post(connection, patient_request(topic="other"), token=mine)).status == 403


async def test_an_expired_token_is_refused(
    hub: RunningHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SMART-08: between two events of a connection."""
    socket = await joined(hub, mine := token())
    later = datetime.now(UTC) + timedelta(seconds=601)
    async with armed(hub, token=mine) as connection:
        await socket.followed()
        assert (await post(connection, marker(), token=mine)).status == 202
        await socket.followed()
        monkeypatch.setattr(SystemClock, "utc", lambda _: later)
        check_refused(await post(connection, patient_request(), token=mine))
        monkeypatch.undo()
        assert (await post(connection, marker(), token=mine)).status == 202
    assert (await socket.followed())["event"]["hub.event"] == "org.example.marker"


async def test_a_token_that_expires_while_a_body_comes(
    hub: RunningHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SMART-08: what counts is when the event is complete."""
    await joined(hub, mine := token())
    later = datetime.now(UTC) + timedelta(seconds=601)
    seen = watch(hub)
    data = posted(patient_request(), token=mine)
    async with armed(hub, token=mine) as connection:
        read = seen.bytes_read
        await connection.send(data[:-5])
        await seen.until_read(read + len(data) - 5)
        monkeypatch.setattr(SystemClock, "utc", lambda _: later)
        await connection.send(data[-5:])
        check_refused(await connection.answer())


async def test_a_revoked_token_is_refused(start_hub: StartHub) -> None:
    """SMART-07, SMART-08: as soon as the server is asked again."""
    async with introspection_server() as server:
        hub = await start_hub(
            auth="introspection",
            introspection_url=server.url,
            introspection_client_id="hub",
            introspection_client_secret="secret",
            introspection_seconds="0.1",
        )
        socket = await joined(hub, server.issue("keeps"))
        mine = server.issue("opaque")
        async with armed(hub, token=mine) as connection:
            del server.tokens["opaque"]
            answer = await post(connection, marker(), token=mine)
            while answer.status == 202:
                answer = await post(connection, marker(), token=mine)
            check_refused(answer)
            asked = len(server.asked)
            check_refused(await post(connection, patient_request(), token=mine))
            assert len(server.asked) >= asked
        other = await hub.client("keeps")
        frame = await socket.followed()
        while (await other.post(last := patient_request(2))).status_code != 202:
            pass
        while frame["id"] != last["id"]:
            assert frame["event"]["hub.event"] == "org.example.marker"
            frame = await socket.followed()


async def test_a_withdrawn_key_is_worth_nothing(start_hub: StartHub) -> None:
    """SMART-08: as soon as the key set without it is fetched."""
    async with key_server(jwks(jwk(EC, "leaked"), jwk(RSA, "good"))) as server:
        hub = await start_hub(
            auth="jwt", jwks_url=server.url, jwks_seconds="0.1", jwks_retry_seconds="0"
        )
        await joined(hub, signed(RSA, "RS256", kid="good"))
        leaked = signed(EC, "ES256", kid="leaked")
        async with armed(hub, token=leaked) as connection:
            server.body = jwks(jwk(RSA, "good"))
            answer = await post(connection, marker(), token=leaked)
            while answer.status == 202:
                answer = await post(connection, marker(), token=leaked)
            check_refused(answer)


async def test_holders_share_the_limit_of_their_token(start_hub: StartHub) -> None:
    """EVT-03: by who holds it, over all connections; another holder has a count of its own."""
    hub = await start_hub(auth="jwt", jwt_key=KEY, max_publishes_per_minute_and_token="4")
    await joined(hub, mine := token())
    other = token(subject="another user")
    async with armed(hub, token=mine) as first, armed(hub, token=token()) as second:
        statuses = [(await post(it, marker(), token=mine)).status for it in (first, second, first)]
        assert statuses == [202, 202, 429]
        assert (await post(first, marker(), token=other)).status == 202


async def test_a_rejection_after_the_answer_goes_the_express_way(start_hub: StartHub) -> None:
    """EVT-06: 202, and a SyncError to the requester."""
    hub = await start_hub(auth="jwt", jwt_key=KEY, reject="late")
    socket = await joined(hub, mine := token())
    seen = watch(hub)
    event = update_request("v-old", put(OBSERVATION))
    async with armed(hub, token=mine) as connection:
        answer = await post(connection, event, token=mine)
    assert (answer.status, json.loads(answer.body)) == (202, {"id": event["id"]})
    assert seen.usual == 1
    await socket.followed()
    assert codings(await socket.followed())["eventid"] == event["id"]
