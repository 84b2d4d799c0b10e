"""The certificate that a hub makes itself."""

from __future__ import annotations

import ssl
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from builders import NOON, TOPIC
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from fhircast_conformance.wire import Wire
from fhircast_hub.config import load_settings
from fhircast_hub.security.self_signed import make_self_signed
from fhircast_hub.web.server import HubServer
from fhircast_hub.web.tls import self_signed_for, tls_context
from wire_messages import patient_request

if TYPE_CHECKING:
    from pathlib import Path

    from hub_server import StartHub


def names_in(certificate: bytes) -> list[str]:
    extensions = x509.load_pem_x509_certificate(certificate).extensions
    found = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [str(it.value) for it in found]


def test_it_is_for_these_names_and_short_of_life() -> None:
    """GEN-01: host names and addresses, once each; P-256; a month."""
    made = make_self_signed(["localhost", "::1", "127.0.0.1", "localhost"], now=NOON)
    assert names_in(made.certificate) == ["localhost", "::1", "127.0.0.1"]
    certificate = x509.load_pem_x509_certificate(made.certificate)
    key = certificate.public_key()
    assert isinstance(key, EllipticCurvePublicKey)
    assert isinstance(key.curve, SECP256R1)
    assert made.expires_at - NOON == timedelta(days=30)
    assert certificate.not_valid_before_utc < NOON


def test_the_key_is_shown_nowhere() -> None:
    """SEC-03: nor two times the same."""
    one, two = (make_self_signed(["localhost"], now=NOON) for _ in range(2))
    assert "PRIVATE" not in f"{one} {one!r} {one.certificate!r}"
    assert one.fingerprint != two.fingerprint
    assert len(one.fingerprint.split(":")) == 32


def test_the_key_is_in_a_file_for_a_moment_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SEC-03: the context reads files only; they are this user's, and gone afterwards."""
    seen: list[int] = []

    class Watching(ssl.SSLContext):
        def load_cert_chain(self, path: Any, *more: Any) -> None:
            seen.extend(it.stat().st_mode & 0o777 for it in (path, path.parent))
            super().load_cert_chain(path, *more)

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    make_self_signed(["localhost"], now=NOON).load_into(Watching(ssl.PROTOCOL_TLS_SERVER))
    assert seen == [0o600, 0o700]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"host": "192.0.2.9", "allow_insecure": "1"}, "192.0.2.9"),
        ({"public_url": "https://hub.example.org:444/x", "allow_insecure": "1"}, "hub.example.org"),
        ({}, "localhost"),
    ],
)
def test_it_is_for_where_clients_reach_the_hub(settings: dict[str, str], name: str) -> None:
    """GEN-01: the address bound, the name outside, this machine."""
    made = self_signed_for(load_settings({}, {"tls_self_signed": "1", **settings}))
    assert made is not None
    assert name in names_in(made.certificate)


def test_every_address_is_none() -> None:
    """GEN-01: 0.0.0.0 is where the hub listens, and nobody's name."""
    settings = {"tls_self_signed": "1", "host": "0.0.0.0", "allow_insecure": "1"}
    made = self_signed_for(load_settings({}, settings))
    assert made is not None
    assert "0.0.0.0" not in names_in(made.certificate)


async def test_everything_goes_over_it(start_hub: StartHub, tmp_path: Path) -> None:
    """GEN-01, GEN-02, SUB-14: https and wss, for clients as strict as the newest Python's."""
    hub = await start_hub(tls_self_signed="1")
    server = hub._server
    assert isinstance(server, HubServer)
    certificate = server.certificate
    assert certificate is not None
    (tmp_path / "hub.pem").write_bytes(certificate.certificate)
    trust = ssl.create_default_context(cafile=str(tmp_path / "hub.pem"))
    trust.verify_flags |= ssl.VERIFY_X509_STRICT
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
        await wire.http.aclose()


async def test_nobody_trusts_it_unasked(start_hub: StartHub) -> None:
    """GEN-01: a client that was not told refuses."""
    hub = await start_hub(tls_self_signed="1")
    async with httpx.AsyncClient(trust_env=False) as client:
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            await client.get(hub.url)


def test_older_versions_of_tls_are_not_spoken() -> None:
    """GEN-01: 1.2 or newer."""
    settings = load_settings({}, {"tls_self_signed": "1"})
    context = tls_context(settings, self_signed_for(settings))
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2


async def test_a_client_of_yesterday_is_refused(start_hub: StartHub) -> None:
    """GEN-01: TLS 1.1 gets no connection."""
    hub = await start_hub(tls_self_signed="1")
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        old.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    async with httpx.AsyncClient(verify=old, trust_env=False) as client:
        with pytest.raises(httpx.TransportError):
            await client.get(hub.url)
