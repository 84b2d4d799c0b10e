"""Tokens that end before their time: a denial, a close, and nothing for anybody else to notice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from builders import TOPIC
from issuing import (
    EC,
    RSA,
    IntrospectionServer,
    introspection_server,
    jwk,
    jwks,
    key_server,
    signed,
)
from wire_messages import ALL_EVENTS, denied_and_closed, only_marker_comes, open_request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from hub_server import RunningHub, StartHub

ENDED = ("the token is not valid any more", 1008)
SLOW = "3600"
"""Seconds: nobody looks in the background while the test lasts."""


@pytest.fixture
async def server() -> AsyncIterator[IntrospectionServer]:
    async with introspection_server() as fake:
        yield fake


@pytest.fixture
async def hub(start_hub: StartHub, server: IntrospectionServer) -> RunningHub:
    return await asking_hub(start_hub, server, "0.1")


async def asking_hub(start_hub: StartHub, server: IntrospectionServer, seconds: str) -> RunningHub:
    return await start_hub(
        auth="introspection",
        introspection_url=server.url,
        introspection_client_id="hub",
        introspection_client_secret="secret",
        introspection_seconds=seconds,
    )


async def test_an_opaque_token_opens_the_hub(hub: RunningHub, server: IntrospectionServer) -> None:
    """SMART-07, SUB-10, D-39: the hub introspects; a token that is not active gets 401."""
    scope = "fhircast/DiagnosticReport-open.*"
    wire = await hub.client(server.issue("opaque", scope=scope, **{"hub.topic": TOPIC}))
    socket = await wire.join(TOPIC, ["DiagnosticReport-open", "Patient-open"])
    assert socket.confirmation["hub.events"] == "DiagnosticReport-open"
    assert socket.confirmation["hub.lease_seconds"] <= 60
    sent = open_request()
    assert (await wire.post(sent)).status_code == 202
    assert (await socket.next())["id"] == sent["id"]
    assert (await wire.subscribe("other")).status_code == 403
    answer = await (await hub.client("unknown")).subscribe(TOPIC)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert server.authorization.startswith("Basic ")


async def test_a_revoked_token_ends_its_subscriptions(
    hub: RunningHub, server: IntrospectionServer
) -> None:
    """SMART-08, CONF-05, guarantee 5: denial, then the close; the others go on."""
    revoked = await hub.client(server.issue("revoked", client_id="a"))
    other = await hub.client(server.issue("other", client_id="b"))
    mine = [await revoked.join(topic, ALL_EVENTS) for topic in (TOPIC, "second")]
    theirs = await other.join(TOPIC, ALL_EVENTS)
    del server.tokens["revoked"]
    for socket in mine:
        assert await denied_and_closed(socket) == ENDED
    await only_marker_comes(other, theirs)
    answer = await other.subscribe(TOPIC, hub__channel__endpoint=mine[0].endpoint)
    assert answer.status_code == 400


async def test_a_token_revoked_before_the_connection(
    start_hub: StartHub, server: IntrospectionServer
) -> None:
    """CONF-06: a denial is the first frame, no confirmation comes, and the endpoint is gone."""
    hub = await asking_hub(start_hub, server, SLOW)
    wire = await hub.client(server.issue("revoked"))
    endpoint = (await wire.subscribe(TOPIC)).json()["hub.channel.endpoint"]
    del server.tokens["revoked"]
    assert await denied_and_closed(await wire.connect(endpoint)) == ENDED
    assert (await denied_and_closed(await wire.connect(endpoint)))[1] == 1008


async def test_who_renewed_with_another_token_goes_on(
    hub: RunningHub, server: IntrospectionServer
) -> None:
    """SUB-11: the token of the last subscribe is the one that counts."""
    old = await hub.client(server.issue("old"))
    new = await hub.client(server.issue("new"))
    socket = await old.join(TOPIC, ALL_EVENTS)
    await new.subscribe(TOPIC, ALL_EVENTS, hub__channel__endpoint=socket.endpoint)
    await socket.confirmed()
    gone = await old.join(TOPIC, ALL_EVENTS)
    del server.tokens["old"]
    assert await denied_and_closed(gone) == ENDED
    await only_marker_comes(new, socket)


async def test_an_outage_ends_nothing_and_lets_nobody_in(
    hub: RunningHub, server: IntrospectionServer
) -> None:
    """SMART-07: a retry is offered; who is connected hears of it at no time."""
    known = await hub.client(server.issue("known"))
    socket = await known.join(TOPIC, ALL_EVENTS)
    endpoint = (await known.subscribe(TOPIC, ALL_EVENTS)).json()["hub.channel.endpoint"]
    server.outage = 500
    server.issue("new")
    answer = await (await hub.client("new")).subscribe(TOPIC)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    late = await (await known.connect(endpoint)).confirmed()
    server.outage = 0
    patient = await hub.client("new")
    while (await patient.subscribe(TOPIC)).status_code == 503:
        pass
    await only_marker_comes(known, socket, late)


async def test_a_withdrawn_key_ends_what_stands_on_it(start_hub: StartHub) -> None:
    """SMART-08: as soon as the key set without it is fetched."""
    async with key_server(jwks(jwk(EC, "leaked"), jwk(RSA, "good"))) as server:
        hub = await start_hub(
            auth="jwt", jwks_url=server.url, jwks_seconds="0.1", jwks_retry_seconds="0"
        )
        leaked = await hub.client(signed(EC, "ES256", kid="leaked", client_id="a"))
        good = await hub.client(signed(RSA, "RS256", kid="good", client_id="b"))
        ended, other = await leaked.join(TOPIC, ALL_EVENTS), await good.join(TOPIC, ALL_EVENTS)
        server.body = jwks(jwk(RSA, "good"))
        assert await denied_and_closed(ended) == ENDED
        assert (await leaked.subscribe(TOPIC)).status_code == 401
        await only_marker_comes(good, other)
