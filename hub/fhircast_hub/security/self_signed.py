"""A certificate for trying TLS out: made at the start, for this machine's names, short of life."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable
    from datetime import datetime

LIFE = timedelta(days=30)
_CLOCKS_APART = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class SelfSigned:
    """A certificate and its key.

    Attributes:
        certificate: As PEM; it is its own authority.
        fingerprint: SHA-256 of the certificate, as browsers and openssl show it.
        expires_at: Aware UTC.
        key: As PEM; it goes nowhere.
    """

    certificate: bytes
    fingerprint: str
    expires_at: datetime
    key: bytes

    def __repr__(self) -> str:
        return f"SelfSigned({self.fingerprint})"

    def load_into(self, context: ssl.SSLContext) -> None:
        """Let a server's context use it.

        The context reads files only: they are this user's alone, and gone when this returns.
        """
        with TemporaryDirectory(prefix="fhircast-") as directory:
            path = Path(directory) / "server.pem"
            path.touch(mode=0o600)
            path.write_bytes(self.key + self.certificate)
            context.load_cert_chain(path)


def make_self_signed(names: Iterable[str], *, now: datetime) -> SelfSigned:
    """Make a certificate.

    Args:
        names: Host names and addresses of the server; repeated ones count once.
        now: Aware UTC.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "FHIRcast hub (self-signed)")])
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCKS_APART)
        .not_valid_after(now + LIFE)
        .add_extension(
            x509.SubjectAlternativeName([_general_name(it) for it in dict.fromkeys(names)]),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_signs_only(), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(identifier, critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier),
            critical=False,
        )
        .sign(key, SHA256())
    )
    return SelfSigned(
        certificate=certificate.public_bytes(Encoding.PEM),
        fingerprint=certificate.fingerprint(SHA256()).hex(":").upper(),
        expires_at=certificate.not_valid_after_utc,
        key=key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name.encode("idna").decode())


def _signs_only() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
