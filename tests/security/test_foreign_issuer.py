"""An authorization server of another maker: the hub needs nothing of ours to believe it.

`oauth2-mock-server`, as it comes from npm, issues the tokens: no claim and no key of it knows about
this project. Without node, npm or a registry these tests are skipped and say so.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from builders import TOPIC
from wire_messages import open_request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from hub_server import RunningHub, StartHub

PEERS = Path(__file__).parent / "peers"
SERVER = PEERS / "node_modules" / "oauth2-mock-server"
INSTALL = (
    *("npm", "install", "--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund"),
    *("--prefer-offline", "--fetch-retries=0", "--fetch-timeout=20000"),
)

pytestmark = pytest.mark.xdist_group("npm peers")


@pytest.fixture(scope="module")
def program() -> Path:
    """The server's program, fetched once."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("node and npm are needed for an authorization server of another maker")
    if not SERVER.exists():
        done = subprocess.run(INSTALL, cwd=PEERS, capture_output=True, check=False, timeout=90)
        if done.returncode:
            pytest.skip("npm could not fetch oauth2-mock-server")
    return SERVER / "dist" / "oauth2-mock-server.mjs"


@asynccontextmanager
async def foreign_issuer(program: Path) -> AsyncIterator[str]:
    """Run it on a free port, with a new key; yields its origin."""
    arguments = "node", str(program), "-a", "127.0.0.1", "-p", "0"
    process = await asyncio.create_subprocess_exec(*arguments, stdout=asyncio.subprocess.PIPE)
    assert process.stdout
    try:
        async with asyncio.timeout(30):
            while not (found := re.search(rb"listening on (\S+)", line := await _line(process))):
                assert line, "it has ended"
        yield found[1].decode()
    finally:
        process.terminate()
        await process.communicate()


async def _line(process: asyncio.subprocess.Process) -> bytes:
    assert process.stdout
    return await process.stdout.readline()


@pytest.fixture
async def issuer(program: Path) -> AsyncIterator[str]:
    async with foreign_issuer(program) as origin:
        yield origin


async def discovered(origin: str, name: str) -> str:
    """What the server tells about itself."""
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"{origin}/.well-known/openid-configuration")
    found: str = answer.json()[name]
    return found


async def issued(origin: str, scope: str) -> str:
    """A token for an application of its own (client credentials)."""
    form = {"grant_type": "client_credentials", "scope": scope}
    async with httpx.AsyncClient() as client:
        answer = await client.post(f"{origin}/token", data=form, auth=("viewer", "secret"))
    token: str = answer.json()["access_token"]
    return token


@pytest.fixture
async def hub(start_hub: StartHub, issuer: str) -> RunningHub:
    return await start_hub(
        auth="jwt",
        jwks_url=await discovered(issuer, "jwks_uri"),
        issuer=await discovered(issuer, "issuer"),
    )


async def test_its_tokens_open_the_hub(hub: RunningHub, issuer: str) -> None:
    """SUB-10, SMART-07: subscribe, request, read; its end caps the lease (SUB-09)."""
    wire = await hub.client(await issued(issuer, "fhircast/*.*"))
    socket = await wire.join(TOPIC, hub__lease_seconds="7200")
    assert 3500 < socket.confirmation["hub.lease_seconds"] <= 3600
    sent = open_request()
    assert (await wire.post(sent)).status_code == 202
    assert (await socket.next())["id"] == sent["id"]
    assert (await wire.context(TOPIC))["context.type"] == "DiagnosticReport"


async def test_its_scopes_bind(hub: RunningHub, issuer: str) -> None:
    """SCO-02, SCO-03."""
    reader = await hub.client(await issued(issuer, "openid fhircast/Patient-open.read"))
    socket = await reader.join(TOPIC, ["Patient-open", "DiagnosticReport-open"])
    assert socket.confirmation["hub.events"] == "Patient-open"
    assert (await reader.post(open_request())).status_code == 403
    nobody = await hub.client(await issued(issuer, "openid"))
    assert (await nobody.subscribe(TOPIC)).status_code == 403


async def test_another_server_of_its_kind_is_not_believed(hub: RunningHub, program: Path) -> None:
    """SUB-10: neither its issuer nor its key."""
    async with foreign_issuer(program) as stranger:
        wire = await hub.client(await issued(stranger, "fhircast/*.*"))
        assert (await wire.subscribe(TOPIC)).status_code == 401


async def test_it_may_be_asked_instead(start_hub: StartHub, issuer: str) -> None:
    """SMART-07: it says that a token is active and nothing of scopes, so nothing is granted."""
    hub = await start_hub(
        auth="introspection",
        introspection_url=await discovered(issuer, "introspection_endpoint"),
        introspection_client_id="hub",
        introspection_client_secret="secret",
    )
    wire = await hub.client(await issued(issuer, "fhircast/*.*"))
    answer = await wire.subscribe(TOPIC)
    assert (answer.status_code, "none of these events" in answer.text) == (403, True)
