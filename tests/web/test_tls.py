"""Production mode: over TLS everything works, and plain http or ws on that port gets nothing."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, NamedTuple

import httpx
import pytest
from builders import TOPIC
from certificates import certify
from fhircast_conformance.wire import Wire
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidMessage
from wire_messages import patient_request

if TYPE_CHECKING:
    from pathlib import Path

    from hub_server import RunningHub, StartHub


class Certified(NamedTuple):
    """A hub with a certificate of its own, and what trusts it."""

    hub: RunningHub
    trust: ssl.SSLContext


@pytest.fixture
async def certified(start_hub: StartHub, tmp_path: Path) -> Certified:
    cert_file, key_file = tmp_path / "cert.pem", tmp_path / "key.pem"
    certify(cert_file, key_file)
    hub = await start_hub(tls_cert=str(cert_file), tls_key=str(key_file))
    return Certified(hub, ssl.create_default_context(cafile=str(cert_file)))


async def test_everything_goes_over_tls(certified: Certified) -> None:
    """GEN-01, GEN-02, SUB-14: https and wss, from subscribe to notification and GET."""
    hub, trust = certified
    assert hub.url.startswith("https://127.0.0.1:")
    async with Wire(hub.url) as wire:
        await wire.http.aclose()
        wire.http = httpx.AsyncClient(verify=trust, trust_env=False)
        answer = await wire.subscribe(TOPIC, ["Patient-open"])
        endpoint = answer.json()["hub.channel.endpoint"]
        assert endpoint.startswith("wss://127.0.0.1:")
        socket = await (await wire.connect(endpoint, ssl=trust)).confirmed()
        sent = patient_request()
        assert (await wire.post(sent)).status_code == 202
        assert (await socket.followed())["id"] == sent["id"]
        assert (await wire.context(TOPIC))["context.type"] == "Patient"
        await wire.http.aclose()


async def test_plain_http_is_never_processed(certified: Certified) -> None:
    """GEN-01: no answer at all, and nothing came of it."""
    hub, trust = certified
    async with Wire(hub.url.replace("https", "http", 1)) as plain:
        with pytest.raises(httpx.TransportError):
            await plain.subscribe(TOPIC, ["Patient-open"])
    async with httpx.AsyncClient(verify=trust, trust_env=False) as client:
        assert (await client.get(f"{hub.url}/{TOPIC}")).status_code == 404


async def test_a_plain_upgrade_is_refused(certified: Certified) -> None:
    """GEN-02: ws:// on that port gets no WebSocket, even with an endpoint that is good."""
    hub, trust = certified
    async with httpx.AsyncClient(verify=trust, trust_env=False) as client:
        form = {
            "hub.channel.type": "websocket",
            "hub.mode": "subscribe",
            "hub.topic": TOPIC,
            "hub.events": "Patient-open",
        }
        endpoint = (await client.post(hub.url, data=form)).json()["hub.channel.endpoint"]
    with pytest.raises(InvalidMessage):
        async with connect(endpoint.replace("wss", "ws", 1), proxy=None, open_timeout=5):
            pass
