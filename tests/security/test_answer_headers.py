"""What every answer says to browsers and caches, and what it does not say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from builders import TOPIC
from raw_http import exchange
from websockets.exceptions import InvalidStatus
from wire_messages import patient_request

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hub_server import RunningHub, StartHub

PAGE = "https://app.example"
ASKS = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}


def check(headers: Mapping[str, str]) -> None:
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert "server" not in headers
    assert not [name for name in headers if name.startswith("x-powered")]


async def test_every_answer_is_neither_kept_nor_sniffed(hub: RunningHub) -> None:
    """SEC-03, GEN-01: data, refusals, what is not there, and no word about the server."""
    http = hub.wire.http
    for answer in (
        await hub.wire.subscribe(TOPIC),
        await hub.wire.post(patient_request()),
        await hub.wire.get(TOPIC),
        await hub.wire.get("unknown"),
        await http.get(f"{hub.url}/.well-known/fhircast-configuration"),
        await http.put(hub.url),
        await http.get(f"{hub.origin}/nowhere"),
        await http.get(f"{hub.origin}/readyz"),
    ):
        check(answer.headers)


async def test_what_is_no_request_gets_them_too(hub: RunningHub) -> None:
    """SEC-03: answers of the server itself."""
    head = (await exchange(hub, b"NO HTTP\r\n\r\n")).decode().partition("\r\n\r\n")[0]
    lines = [line.partition(": ") for line in head.split("\r\n")[1:]]
    check({name: value for name, _, value in lines})


async def test_a_refused_upgrade_gets_them_too(hub: RunningHub) -> None:
    """SEC-03, SEC-02: the path of a socket must not be kept anywhere."""
    with pytest.raises(InvalidStatus) as refused:
        await hub.wire.connect(hub.url.replace("http", "ws", 1) + "/ws/short")
    check({name.lower(): it for name, it in refused.value.response.headers.items()})


async def test_a_preflight_of_a_foreign_origin_is_told_nothing(start_hub: StartHub) -> None:
    """D-52, SEC-03: neither origin, nor methods, nor headers, nor how long."""
    hub = await start_hub(allowed_origins=PAGE)
    for origin in ("https://evil.example", "null", PAGE + ".evil.example", PAGE.upper()):
        answer = await hub.wire.http.options(hub.url, headers={**ASKS, "Origin": origin})
        assert answer.status_code == 403
        assert not [name for name in answer.headers if name.startswith("access-control")]
        check(answer.headers)


async def test_an_answer_for_one_origin_is_not_for_another(start_hub: StartHub) -> None:
    """D-52: caches in between are told that it depends on the origin."""
    hub = await start_hub(allowed_origins=PAGE)
    for headers in ({"Origin": PAGE}, {**ASKS, "Origin": PAGE}):
        answer = await hub.wire.http.options(hub.url, headers=headers)
        assert "origin" in answer.headers["vary"].lower()
    assert "access-control-allow-credentials" not in answer.headers
