"""What the hub itself asks and tells: through which proxy, and with whose certificates."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest
from builders import TOPIC
from click.testing import CliRunner
from fhircast_hub.audit.repository import FhirRepository
from fhircast_hub.cli.main import main
from fhircast_hub.config import SettingError
from fhircast_hub.outgoing import client_for
from fhircast_hub.security.fetching import Fetcher
from issuing import introspection_server, key_server, self_signed
from wire_messages import ALL_EVENTS

if TYPE_CHECKING:
    from pathlib import Path

    from hub_server import StartHub

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*PROXIES, "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


async def test_tokens_and_secrets_for_this_machine_stay_on_it(
    start_hub: StartHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SEC-03, SMART-07: the proxy of the environment hears nothing."""
    async with introspection_server() as server, key_server(b"") as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        hub = await start_hub(
            auth="introspection",
            introspection_url=server.url,
            introspection_client_id="hub",
            introspection_client_secret="secret",
        )
        wire = await hub.client(server.issue("opaque"))
        assert (await wire.subscribe(TOPIC, ALL_EVENTS)).status_code == 202
        assert (server.asked, proxy.asked) == (["opaque"], 0)


async def test_audit_entries_for_this_machine_stay_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """SEC-03: they name patients."""
    async with key_server(b"") as repository, key_server(b"") as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        sink = FhirRepository(repository.url)
        with pytest.raises(Exception, match="404"):  # of a server that knows no AuditEvent
            await sink.write([{}])
        await sink.close()
        assert proxy.asked == 0


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.0.1", "[::1]"])
async def test_every_name_of_this_machine_is_without_proxy(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SEC-03: others are asked as the site's environment says."""
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    for url, trusts in ((f"https://{host}:1/", False), ("https://issuer.example/", True)):
        async with client_for(url, timeout_seconds=1) as client:
            assert client.trust_env is trusts


async def test_certificates_of_the_site_are_trusted_without_a_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GEN-01: SSL_CERT_FILE counts on loopback, too."""
    certificate = self_signed(tmp_path / "as.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    async with key_server(b"keys", tls=certificate) as server:
        fetcher = Fetcher(server.url)
        assert await fetcher.get(server.url) == b"keys"
        await fetcher.close()


ASKING = {
    "introspection": ["--auth", "introspection", "--introspection-url", "https://as.example/i"],
    "keys": ["--auth", "jwt", "--jwks-url", "https://as.example/jwks"],
    "audit": ["--audit-fhir-url", "https://fhir.example/r4"],
}


@pytest.mark.parametrize("name", ASKING)
@pytest.mark.parametrize("content", [None, b"no certificate"], ids=["missing", "odd"])
def test_certificates_that_cannot_be_read_stop_the_start(
    name: str, content: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GEN-01: in one line that names the variable, and not at the first request."""
    path = tmp_path / "site.pem"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    result = CliRunner().invoke(main, ["serve", "--check", *ASKING[name]])
    assert result.exit_code == 2
    assert f"SSL_CERT_FILE='{path}': allowed is a PEM file" in result.output


@pytest.mark.parametrize("proxy", ["gopher://u:secret@proxy.example", "socks9://x"])
def test_an_odd_proxy_is_an_error_without_its_password(
    proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SEC-03."""
    monkeypatch.setenv("https_proxy", proxy)
    with pytest.raises(SettingError) as caught:
        client_for("https://issuer.example/", timeout_seconds=1)
    assert "secret" not in str(caught.value)
    assert isinstance(client_for("http://127.0.0.1/", timeout_seconds=1), httpx.AsyncClient)
