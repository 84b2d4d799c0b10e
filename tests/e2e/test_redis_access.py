"""Redis over TLS, and as a user that may do no more than the hub does."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from builders import TOPIC
from issuing import self_signed
from redis import Redis
from redis.exceptions import NoPermissionError
from redis_server import RedisServer, free_port
from wire_messages import ALL_EVENTS, open_request

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hub_server import StartHub
    from redis_cluster import RedisCluster

_README = Path(__file__).parents[2] / "hub" / "README.md"
_ACL = re.findall(r"^ACL (SETUSER fhircast .*)$", _README.read_text("utf-8"), re.MULTILINE)
_DEADLINE_SECONDS = 20
_SETTINGS = {
    "auth": "none",
    "redis_timeout_seconds": "0.5",
    "reconnect_grace_seconds": "0.1",
}


def program_with_tls() -> str:
    """Debian's server; that of the wheel has no TLS."""
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    if found is None:
        pytest.skip("there is no redis-server that could have TLS")
    # It stops at the first setting that it does not know.
    tried = subprocess.run(
        [found, "--tls-port", "0", "--port", "none"], capture_output=True, check=False
    )
    if b"tls-port" in tried.stdout + tried.stderr:
        pytest.skip("this redis-server was built without TLS")
    return found


@contextmanager
def over_tls(folder: Path) -> Iterator[tuple[str, Path]]:
    """Run a server that wants to see certificates; yield where it is, and one that it trusts."""
    file, port = self_signed(folder / "redis.pem"), free_port()
    options = dict.fromkeys(("tls-cert-file", "tls-key-file", "tls-ca-cert-file"), str(file))
    program = program_with_tls()
    server = RedisServer(folder, program=program, **options, **{"tls-port": str(port)})
    server.start()
    try:
        yield f"127.0.0.1:{port}", file
    finally:
        server.stop()


async def joined_and_told(start_hub: StartHub, backend: str) -> None:
    """Subscribe at a hub and publish; the subscriber is told."""
    hub = await start_hub(backend=backend, **_SETTINGS)
    socket = await hub.wire.join(TOPIC, ALL_EVENTS)
    opened = open_request()
    answer = await hub.wire.post(opened)
    assert answer.status_code == 202, answer.text
    assert (await socket.followed())["id"] == opened["id"]
    assert (await hub.wire.unsubscribe(TOPIC, socket.endpoint)).status_code == 202


async def said(caplog: pytest.LogCaptureFixture, text: str) -> None:
    async with asyncio.timeout(_DEADLINE_SECONDS):
        while text not in caplog.text:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.01)


async def test_sessions_go_to_redis_over_tls(start_hub: StartHub, tmp_path: Path) -> None:
    """SEC-03: both sides show certificates of the site's own authority."""
    with over_tls(tmp_path) as (where, file):
        options = f"ssl_ca_certs={file}&ssl_certfile={file}&ssl_keyfile={file}"
        await joined_and_told(start_hub, f"rediss://{where}?{options}")


async def test_a_certificate_that_is_not_trusted(
    start_hub: StartHub, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """SEC-03: nothing is sent there, and the log says why, without secrets."""
    with over_tls(tmp_path) as (where, _):
        other = self_signed(tmp_path / "other.pem")
        url = f"rediss://user:secret@{where}?ssl_ca_certs={other}"
        hub = await start_hub(backend=url, **_SETTINGS)
        await said(caplog, "its certificate is not trusted")
        assert (await hub.wire.http.get(f"{hub.origin}/readyz")).status_code == 503
    assert "secret" not in caplog.text


async def test_the_user_of_the_docs_suffices(start_hub: StartHub, own_redis: RedisServer) -> None:
    """SEC-03: the line as it stands there; nothing that the hub did was refused to it."""
    with own_redis.client() as admin:
        admin.execute_command("ACL", *_ACL[0].split())
        where = f"127.0.0.1:{own_redis.port}/1"
        await joined_and_told(start_hub, f"redis://fhircast:CHANGE-ME@{where}")
        assert admin.acl_log() == []
    with Redis(port=own_redis.port, username="fhircast", password="CHANGE-ME") as user:
        for command in (("FLUSHALL",), ("KEYS", "*"), ("GET", "another"), ("CONFIG", "GET", "*")):
            with pytest.raises(NoPermissionError):
                user.execute_command(*command)


async def test_the_user_of_the_docs_suffices_in_a_cluster(
    start_hub: StartHub, own_cluster: RedisCluster
) -> None:
    """SEC-03: with the second line, at every node."""
    for node in own_cluster.nodes:
        with node.client() as admin:
            for line in _ACL:
                admin.execute_command("ACL", *line.split())
    await joined_and_told(start_hub, own_cluster.url.replace("//", "//fhircast:CHANGE-ME@"))
    for node in own_cluster.nodes:
        with node.client() as admin:
            assert admin.acl_log() == []


async def test_a_wrong_password_is_said(
    start_hub: StartHub, own_redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """SEC-03: in the log, and without it."""
    with own_redis.client() as admin:
        admin.execute_command("ACL", *_ACL[0].split())
    await start_hub(backend=own_redis.url.replace("//", "//fhircast:secret@"), **_SETTINGS)
    await said(caplog, "it refuses user or password")
    assert "secret" not in caplog.text
