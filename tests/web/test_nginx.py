"""The hub behind a real nginx, as sites run it: endpoint, addresses, lies, and a WebSocket."""

from __future__ import annotations

import asyncio
import shutil
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import httpx
import pytest
from builders import TOPIC
from fhircast_conformance.wire import Wire
from wire_messages import only_marker_comes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from hub_server import StartHub

NGINX = shutil.which("nginx")
pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")

CONFIGURATION = """
daemon off; master_process off; error_log stderr; pid {directory}/pid;
events {{}}
http {{
  access_log off;
  client_body_temp_path {directory}; proxy_temp_path {directory};
  fastcgi_temp_path {directory}; uwsgi_temp_path {directory}; scgi_temp_path {directory};
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass {origin};
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $http_connection;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-Host $http_host;
      proxy_read_timeout 75s;
    }}
  }}
}}
"""


@asynccontextmanager
async def nginx(origin: str, directory: Path) -> AsyncIterator[str]:
    """Run nginx before a hub; its origin."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    file = directory / "nginx.conf"
    file.write_text(CONFIGURATION.format(directory=directory, port=port, origin=origin))
    assert NGINX is not None
    process = await asyncio.create_subprocess_exec(
        *(NGINX, "-c", str(file), "-p", str(directory), "-e", "stderr")
    )
    try:
        async with asyncio.timeout(20):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except ConnectionError:
                    assert process.returncode is None
                    await asyncio.sleep(0.02)
                else:
                    writer.close()
                    break
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        await process.wait()


async def test_a_session_through_it(start_hub: StartHub, tmp_path: Path) -> None:
    """GEN-02, SUB-14: the endpoint leads through the proxy too."""
    hub = await start_hub(trusted_proxies="127.0.0.1")
    async with nginx(hub.origin, tmp_path) as front, Wire(f"{front}/api/hub") as wire:
        joined = await wire.join(TOPIC, ["org.example.marker"])
        assert joined.endpoint.startswith(front.replace("http", "ws", 1))
        await only_marker_comes(wire, joined)


async def test_a_lie_through_it(start_hub: StartHub, tmp_path: Path) -> None:
    """D-43: clients have a count each, and no header of theirs makes one of them another."""
    hub = await start_hub(trusted_proxies="127.0.0.1", max_reads_per_minute="1")
    async with nginx(hub.origin, tmp_path) as front:

        async def read(address: str, **headers: str) -> int:
            """GET as a client at another address of this machine."""
            transport = httpx.AsyncHTTPTransport(local_address=address)
            async with httpx.AsyncClient(transport=transport) as client:
                names = {name.replace("_", "-"): value for name, value in headers.items()}
                return (await client.get(f"{front}/api/hub/x", headers=names)).status_code

        assert [await read("127.0.0.2"), await read("127.0.0.2")] == [404, 429]
        assert await read("127.0.0.2", X_Forwarded_For="203.0.113.1") == 429
        assert await read("127.0.0.2", Forwarded="for=203.0.113.1") == 429
        assert await read("127.0.0.2", X_Real_IP="203.0.113.1") == 429
        assert await read("127.0.0.3", X_Forwarded_For="127.0.0.2") == 404
