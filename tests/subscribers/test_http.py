"""The HTTP side: nothing less safe than what was asked for."""

from __future__ import annotations

import httpx
import pytest
from fhircast_subscribers import InvalidAnswer
from fhircast_subscribers.http import HubHttp, bearer, refusal_of


class Hub(httpx.AsyncBaseTransport):
    """Accepts every subscription with one endpoint."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint

    async def handle_async_request(self, _request: httpx.Request) -> httpx.Response:
        return httpx.Response(202, json={"hub.channel.endpoint": self._endpoint})


@pytest.mark.parametrize(
    ("hub_url", "endpoint", "is_fine"),
    [
        ("https://hub.example.org", "wss://hub.example.org/ws/1", True),
        ("https://hub.example.org", "ws://hub.example.org/ws/1", False),
        ("https://hub.example.org", "https://hub.example.org/ws/1", False),
        ("http://127.0.0.1:1", "ws://127.0.0.1:1/ws/1", True),
    ],
)
async def test_encrypted_hub_has_encrypted_endpoints(
    hub_url: str, endpoint: str, is_fine: bool
) -> None:
    """GEN-02: an https hub that hands out ws:// is not joined."""
    http = HubHttp(hub_url, None, timeout_seconds=1)
    http._http = httpx.AsyncClient(transport=Hub(endpoint))
    subscribing = http.subscribe("t", ["SyncError"], name="n", lease_seconds=1)
    if is_fine:
        assert await subscribing == endpoint
    else:
        with pytest.raises(InvalidAnswer):
            await subscribing


@pytest.mark.parametrize(
    ("hub_url", "is_warned"),
    [("http://hub.example.org", True), ("http://127.0.0.1", False), ("https://h.example", False)],
)
async def test_plain_http_to_another_machine_is_warned_of(
    hub_url: str, is_warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """GEN-01: without the URL."""
    await HubHttp(hub_url, None, timeout_seconds=1).aclose()
    assert ("GEN-01" in caplog.text) == is_warned
    assert "hub.example.org" not in caplog.text


@pytest.mark.parametrize(
    ("sent", "seconds"), [("2.5", 2.5), ("0", 0), ("nan", None), ("-1", None), ("inf", None)]
)
def test_a_wait_that_is_none_is_passed_over(sent: str, seconds: float | None) -> None:
    """IRA-SUB-08: whoever waits for this must not wait for ever."""
    answer = httpx.Response(429, headers={"retry-after": sent})
    assert refusal_of(answer).retry_after_seconds == seconds


async def test_token_goes_into_its_header() -> None:
    """SUB-10: a string, or a fresh one from the application."""

    async def fresh() -> str:
        return "t-2"

    assert await bearer("t-1") == {"Authorization": "Bearer t-1"}
    assert await bearer(fresh) == {"Authorization": "Bearer t-2"}
    assert await bearer(None) == {}
