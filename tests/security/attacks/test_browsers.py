"""Pages of other sites, in the browser of somebody who works: what they may send, see and open."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from attacked import another_patient, attacked_session, genuine
from builders import TOPIC
from raw_http import exchange, status_of
from wire_messages import ALL_EVENTS, request

if TYPE_CHECKING:
    from pathlib import Path

    import httpx
    from attacked import Attacked
    from hub_server import RunningHub, StartHub

PAGE = "https://app.example"
NEARLY = (
    "https://app.example.evil.example",
    "https://evil-app.example",
    "https://evil.example/https://app.example",
    "https://app.example@evil.example",
    "https://app.example:8443",
    "https://app.example:443",
    "https://app.example/",
    "https://app.example.",
    "https://app.example, https://evil.example",
    "http://app.example",
    "https://APP.example",
    "https://app_example",
    "https://sub.app.example",
    "app.example",
    "null",
    "*",
    "file://",
)
WANTS = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}


def grants(answer: httpx.Response) -> dict[str, str]:
    """What an answer allows a page of another origin."""
    return {name: it for name, it in answer.headers.items() if name.startswith("access-control-")}


async def test_an_origin_that_is_nearly_allowed_is_told_nothing(
    start_hub: StartHub, tmp_path: Path
) -> None:
    """D-52, SEC-03: no header for it in any answer, good or bad; its preflight gets 403."""
    attacked = await attacked_session(start_hub, tmp_path, allowed_origins=PAGE)
    wire, url = attacked.owner, attacked.hub.url
    for origin in NEARLY:
        headers = {"Origin": origin}
        preflight = await wire.http.options(url, headers={**headers, **WANTS})
        attacked.is_refused(preflight, 403)
        answers = [
            preflight,
            await wire.http.get(f"{url}/{TOPIC}", headers=headers),
            await attacked.hub.wire.http.get(f"{url}/{TOPIC}", headers=headers),
            await wire.http.post(url, headers=headers),
        ]
        assert [it.status_code for it in answers] == [403, 200, 401, 415]
        assert [it.headers.get("access-control-allow-origin") for it in answers] == [None] * 4, (
            origin
        )
        assert not any("access-control-allow-credentials" in it.headers for it in answers)
        assert all("origin" in it.headers["vary"].lower() for it in answers)
    await attacked.is_unharmed()


@pytest.mark.parametrize("origins", [PAGE, "*"])
@pytest.mark.parametrize(
    "wants",
    [
        {"Access-Control-Request-Method": "PUT"},
        {"Access-Control-Request-Method": "DELETE"},
        {"Access-Control-Request-Method": "post"},
        {"Access-Control-Request-Headers": "x-forwarded-for"},
        {"Access-Control-Request-Headers": "authorization, cookie"},
        {"Access-Control-Request-Headers": "*"},
        {"Access-Control-Request-Private-Network": "true"},
    ],
)
async def test_a_preflight_that_wants_more_does_not_get_it(
    start_hub: StartHub, origins: str, wants: dict[str, str]
) -> None:
    """D-52: only the methods and headers that clients need; never credentials."""
    hub = await start_hub(allowed_origins=origins)
    answer = await hub.wire.http.options(hub.url, headers={"Origin": PAGE, **WANTS, **wants})
    given = grants(answer)
    assert given["access-control-allow-methods"] == "GET, POST"
    headers = set(given["access-control-allow-headers"].lower().split(", "))
    assert headers <= {
        *("accept", "accept-language", "content-language"),
        *("authorization", "content-type", "x-medplum"),
    }
    assert "access-control-allow-credentials" not in given
    assert "access-control-allow-private-network" not in given
    assert answer.status_code == 400


SIMPLE_TYPES = (
    "text/plain",
    "text/plain; application/json",
    "text/plain, application/json",
    "multipart/form-data; boundary=x",
    "multipart/form-data; boundary=application/json",
    "application/json-seq",
    "application/jsonx",
    "application/x-www-form-urlencoded-x",
    "application/x-www-form-urlencoded, application/json",
    "",
)


async def test_what_a_page_may_send_unasked_publishes_nothing(hub: RunningHub) -> None:
    """SUB-01, D-52: 415 for JSON under the types that need no preflight, even on an open hub."""
    socket = await hub.wire.join(TOPIC, ALL_EVENTS)
    for kind in SIMPLE_TYPES:
        answer = await hub.wire.post(another_patient(), Content_Type=kind, Origin="https://evil")
        assert answer.status_code == 415, kind
        assert not grants(answer)
    as_form = json.dumps(another_patient()).encode() + b"="
    form = "application/x-www-form-urlencoded"
    assert (await hub.wire.post(as_form, Content_Type=form)).status_code == 400
    sent = request("org.example.marker")
    await hub.wire.post(sent)
    assert (await socket.next())["id"] == sent["id"]


async def test_a_page_does_not_see_the_endpoint_that_its_form_made(hub: RunningHub) -> None:
    """D-52, SUB-15: a form needs no preflight; its answer is for nobody to read, and not kept."""
    hub.wire.http.headers["Origin"] = "https://evil.example"
    answer = await hub.wire.subscribe("x")
    assert answer.status_code == 202
    assert not grants(answer)
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_a_browser_brings_nothing_that_counts(attacked: Attacked) -> None:
    """SUB-10: no cookie, no Basic, no address is an authority: 401 without the header."""
    wire = attacked.hub.wire
    wire.http.headers["Cookie"] = f"token={genuine()}; session=1"
    for answer in await attacked.at_every_door(wire):
        attacked.is_refused(answer, 401)
        assert "basic" not in answer.headers["www-authenticate"].lower()
        assert "set-cookie" not in answer.headers
    await attacked.is_unharmed()


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1"])
async def test_a_cross_site_websocket_gets_what_its_endpoint_gets(
    attacked: Attacked, origin: str
) -> None:
    """SEC-02, SUB-15: no cookie or token of the browser helps it; without the endpoint, a denial.

    The endpoint is the ticket: an Origin is neither asked for nor believed.
    """
    base = attacked.victim.endpoint.rpartition("/")[0]
    headers = {"Cookie": "session=1", "Authorization": f"Bearer {genuine()}"}
    socket = await attacked.hub.wire.connect(
        f"{base}/{'B' * 32}", origin=origin, additional_headers=headers
    )
    assert (await socket.next())["hub.mode"] == "denied"
    attacked.tells_nothing(socket.text)
    assert await socket.close_code() == 1008
    await attacked.is_unharmed()


@pytest.mark.parametrize("subprotocol", ["bearer", "fhircast", "base64url.bearer.authorization"])
async def test_a_subprotocol_is_not_agreed_to(attacked: Attacked, subprotocol: str) -> None:
    """SEC-02: a place where some put tokens; nothing of it is read or said back."""
    name = attacked.endpoint_id
    key = b"dGhlIHNhbXBsZSBub25jZQ=="
    base = attacked.victim.endpoint.rpartition("/")[0].split("/", 3)[3]
    answer = await exchange(
        attacked.hub,
        f"GET /{base}/{'B' * 32} HTTP/1.1\r\nHost: hub\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Protocol: {subprotocol}, {name}\r\nSec-WebSocket-Key: ".encode()
        + key
        + b"\r\n\r\n\x88\x82\0\0\0\0\x03\xe8",
    )
    assert status_of(answer) == 101
    assert b"sec-websocket-protocol" not in answer.lower()
    attacked.tells_nothing(answer.decode("latin-1"))


@pytest.mark.parametrize(
    "query", ["?callback=evil", "?jsonp=evil", "?_method=DELETE", "?format=js"]
)
async def test_an_answer_is_no_script(attacked: Attacked, query: str) -> None:
    """SEC-03: JSON, said to be nothing else, whatever the address asks for."""
    answer = await attacked.owner.http.get(f"{attacked.hub.url}/{TOPIC}{query}")
    assert answer.json() == attacked.before
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("header", ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"])
async def test_a_method_is_what_the_first_line_says(attacked: Attacked, header: str) -> None:
    """GEN-01: no header makes a GET of a POST, or a path of another one."""
    headers = {header: "GET", "X-Original-URL": f"/api/hub/{TOPIC}", "X-Rewrite-URL": "/livez"}
    attacked.is_refused(await attacked.owner.http.post(attacked.hub.url, headers=headers), 415)
    answer = await attacked.hub.wire.http.get(f"{attacked.hub.url}/{TOPIC}", headers=headers)
    attacked.is_refused(answer, 401)


async def test_another_name_of_the_hub_opens_nothing(attacked: Attacked) -> None:
    """SUB-10: a name that was made to point here makes a page of the same origin; it has no token.

    And the endpoint of a subscribe under a false name goes to who sent it only.
    """
    headers = {"Host": "rebound.evil.example", "Origin": "http://rebound.evil.example"}
    wire = attacked.hub.wire
    attacked.is_refused(await wire.http.get(f"{attacked.hub.url}/{TOPIC}", headers=headers), 401)
    mine = await attacked.hub.client(genuine(sub="attacker"))
    mine.http.headers.update(headers)
    answer = await mine.subscribe(TOPIC, ["Home-open"])
    assert answer.json()["hub.channel.endpoint"].startswith("ws://rebound.evil.example/api/hub/ws/")
    theirs = await attacked.owner.subscribe(TOPIC, ["Home-open"])
    assert "evil" not in theirs.text
    await attacked.is_unharmed()
