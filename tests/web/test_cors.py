"""Browser pages of other origins (D-52): whom the hub answers, and what a page can see."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest
from builders import TOPIC
from fhircast_hub.backends.base import BackendLimits
from fhircast_hub.backends.memory import MemoryBackend
from fhircast_hub.config import load_settings
from fhircast_hub.web.app import create_app
from wire_messages import open_request, update_request

if TYPE_CHECKING:
    from fhircast_hub.protocol.session import Session
    from hub_server import RunningHub, StartHub

PAGE = "https://app.example"
ORIGIN = {"Origin": PAGE}
ASKS = {
    **ORIGIN,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization, content-type, x-medplum",
}


def allowed(answer: httpx.Response) -> object:
    return answer.headers.get("access-control-allow-origin")


async def test_no_origin_may_by_default(hub: RunningHub) -> None:
    """D-52, SEC-03: the allow-list is empty: no header, to a request or a preflight."""
    for answer in (
        await hub.wire.http.get(f"{hub.url}/x", headers=ORIGIN),
        await hub.wire.http.options(hub.url, headers=ASKS),
    ):
        assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize("mount", ["/api/hub", "/fhircast/STU3", "/fhircast/STU2"])
@pytest.mark.parametrize("path", ["", f"/{TOPIC}", "/.well-known/fhircast-configuration"])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_preflight_of_an_allowed_origin(
    start_hub: StartHub, mount: str, path: str, method: str
) -> None:
    """D-52, SEC-03: 200 or 204, kept ten minutes, with the headers that clients send."""
    hub = await start_hub(allowed_origins=f"https://other.example,{PAGE}")
    asks = {**ASKS, "Access-Control-Request-Method": method}
    answer = await hub.wire.http.options(hub.origin + mount + path, headers=asks)
    assert answer.status_code in {200, 204}
    assert allowed(answer) == PAGE
    assert answer.headers["access-control-max-age"] == "600"
    assert method in answer.headers["access-control-allow-methods"]
    headers = answer.headers["access-control-allow-headers"].lower()
    assert {"authorization", "content-type", "x-medplum"} <= set(headers.split(", "))


async def test_another_origin_gets_none(start_hub: StartHub) -> None:
    """D-52, SEC-03: neither to a request nor to a preflight."""
    hub = await start_hub(allowed_origins=PAGE)
    evil = {"Origin": "https://evil.example"}
    for answer in (
        await hub.wire.http.get(f"{hub.url}/x", headers=evil),
        await hub.wire.http.options(hub.url, headers={**ASKS, **evil}),
    ):
        assert allowed(answer) is None


async def test_every_origin_for_development(start_hub: StartHub) -> None:
    """D-52: `*`, also for a request with a token."""
    hub = await start_hub(allowed_origins="*")
    assert allowed(await hub.wire.http.options(hub.url, headers=ASKS)) == "*"
    bearer = {**ORIGIN, "Authorization": "Bearer x"}
    assert allowed(await hub.wire.http.get(f"{hub.url}/x", headers=bearer)) == "*"


async def test_a_page_sees_its_refusals(start_hub: StartHub) -> None:
    """D-52: 400, 404, 405, 409, 413, 415 and 429 carry the headers, Retry-After in view."""
    hub = await start_hub(
        allowed_origins=PAGE, max_topics="1", max_event_bytes="4096", max_open_contexts="1"
    )
    hub.wire.http.headers["Origin"] = PAGE
    await hub.wire.join(TOPIC)
    await hub.wire.post(open_request())
    answers = [
        await hub.wire.post(b"{}"),
        await hub.wire.get("unknown"),
        await hub.wire.http.put(hub.url),
        await hub.wire.post(update_request("stale")),
        await hub.wire.post(b"x" * 5000),
        await hub.wire.post(b"x", Content_Type="text/plain"),
        await hub.wire.subscribe("another"),
    ]
    assert [it.status_code for it in answers] == [400, 404, 405, 409, 413, 415, 429]
    assert {allowed(it) for it in answers} == {PAGE}
    assert "retry-after" in answers[-1].headers["access-control-expose-headers"]


async def test_a_page_without_a_token_sees_that(start_hub: StartHub) -> None:
    """D-52, SUB-10: 401 with WWW-Authenticate in view."""
    hub = await start_hub(allowed_origins=PAGE, auth="jwt", jwt_key="k" * 32)
    answer = await hub.wire.http.get(f"{hub.url}/x", headers=ORIGIN)
    assert (answer.status_code, allowed(answer)) == (401, PAGE)
    assert "www-authenticate" in answer.headers["access-control-expose-headers"]


class _BrokenBackend(MemoryBackend):
    """A backend with a bug."""

    async def load(self, topic: str, *, is_newest: bool = True) -> Session | None:
        raise RuntimeError("Smith-Jones")


async def test_a_page_sees_a_fault_of_the_hub(caplog: pytest.LogCaptureFixture) -> None:
    """D-52, SEC-03: a 500 carries the headers too; neither answer nor log has the error's text."""
    app = create_app(
        load_settings({}, {"allowed_origins": PAGE}), backend=_BrokenBackend(BackendLimits())
    )
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://hub.test") as client:
        answer = await client.get("/api/hub/x", headers=ORIGIN)
    assert (answer.status_code, allowed(answer)) == (500, PAGE)
    assert answer.text.startswith("the hub failed")
    assert "RuntimeError" in caplog.text
    assert "Smith" not in answer.text + caplog.text
