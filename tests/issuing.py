"""An issuer of tokens for tests: its keys, its tokens, and its servers on loopback."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import jwt
import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from fhircast_hub.web.server import bind
from jwt.algorithms import get_default_algorithms
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from pathlib import Path

    from starlette.requests import Request

Claims = dict[str, Any]

RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC = ec.generate_private_key(ec.SECP256R1())
PRIVATE_KEYS: dict[str, Any] = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), RSA),
    "ES256": EC,
    "ES384": ec.generate_private_key(ec.SECP384R1()),
    "ES512": ec.generate_private_key(ec.SECP521R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}


def claims_of(**more: Any) -> Claims:
    """Claims of a token that is valid for a minute; a value of None leaves a claim out."""
    usual = {"sub": "user", "scope": "fhircast/*.*", "exp": int(time.time()) + 60}
    return {name: it for name, it in {**usual, **more}.items() if it is not None}


def signed(
    key: Any, algorithm: str, *, kid: str = "", header: Claims | None = None, **claims: Any
) -> str:
    """A token."""
    headers = {**({"kid": kid} if kid else {}), **(header or {})}
    return jwt.encode(claims_of(**claims), key, algorithm=algorithm, headers=headers)


def self_signed(path: Path) -> Path:
    """Write a certificate for loopback, and its key, into one file."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "as.test")])
    now, day = datetime.now(UTC), timedelta(days=1)
    builder = x509.CertificateBuilder(name, name, EC.public_key(), 1, now - day, now + day)
    alternative = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    certificate = builder.add_extension(alternative, critical=False).sign(EC, hashes.SHA256())
    path.write_bytes(private_pem(EC) + certificate.public_bytes(serialization.Encoding.PEM))
    return path


def private_pem(private: Any) -> bytes:
    pem: bytes = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return pem


def public_pem(private: Any) -> bytes:
    pem: bytes = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return pem


def jwk(private: Any, kid: str = "", algorithm: str = "", **more: Any) -> Claims:
    """The public half of a key as an entry of a key set."""
    kinds = {rsa.RSAPrivateKey: "RS256", ec.EllipticCurvePrivateKey: "ES256"}
    kind = next((it for cls, it in kinds.items() if isinstance(private, cls)), "EdDSA")
    entry: Claims = get_default_algorithms()[kind].to_jwk(private.public_key(), as_dict=True)
    entry.pop("key_ops", None)
    named = {"kid": kid, "alg": algorithm}
    return {**entry, **{name: it for name, it in named.items() if it}, **more}


def jwks(*entries: Claims) -> bytes:
    return json.dumps({"keys": list(entries)}).encode()


@dataclass
class Answering:
    """A path of a server on loopback that answers as the test says, and counts.

    Attributes:
        body: Of the answer.
        status: Of the answer.
        headers: Of the answer.
        hold: While not set, answers wait.
        asked: Requests so far.
        arrived: Set by each request.
        url: Where it answers.
    """

    body: bytes = b"{}"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    hold: asyncio.Event = field(default_factory=asyncio.Event)
    asked: int = 0
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    url: str = ""

    def __post_init__(self) -> None:
        self.hold.set()

    async def answer(self, _request: Request) -> Response:
        self.asked += 1
        self.arrived.set()
        await self.hold.wait()
        return Response(self.body, self.status, media_type="application/json", headers=self.headers)


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.leave = asyncio.Event()

    async def main_loop(self) -> None:
        await self.leave.wait()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # signals are for pytest


@asynccontextmanager
async def serving(
    *routes: tuple[str, Callable[[Request], Awaitable[Response]]], tls: Path | None = None
) -> AsyncIterator[str]:
    """Serve these paths on a free port, over TLS with that certificate; yields the origin."""
    app = Starlette(routes=[Route(it, do, methods=["GET", "POST"]) for it, do in routes])
    sock = bind("127.0.0.1", 0)
    config = uvicorn.Config(
        app, log_config=None, lifespan="off", timeout_graceful_shutdown=1, ssl_certfile=tls
    )
    server = _Server(config)
    running = asyncio.create_task(server.serve([sock]))
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{sock.getsockname()[1]}"
    finally:
        server.leave.set()
        await running


@asynccontextmanager
async def key_server(body: bytes, *, tls: Path | None = None) -> AsyncIterator[Answering]:
    """A server of a key set."""
    answering = Answering(body)
    async with serving(("/jwks", answering.answer), tls=tls) as origin:
        answering.url = f"{origin}/jwks"
        yield answering
        answering.hold.set()


@dataclass
class IntrospectionServer:
    """A fake of an authorization server's introspection endpoint: it says what the test says.

    Attributes:
        tokens: What it says of a token; of all others that they are not active.
        outage: Status of every answer while it is not 0.
        refused: Status of the answer about a token.
        limits_every: Each question of that number gets 429, none while it is 0.
        asked: The tokens it was asked about, in order.
        authorization: The header of the last question.
        hold: While not set, answers wait.
        url: Where it answers.
    """

    tokens: dict[str, Claims] = field(default_factory=dict)
    outage: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    limits_every: int = 0
    asked: list[str] = field(default_factory=list)
    authorization: str = ""
    hold: asyncio.Event = field(default_factory=asyncio.Event)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    url: str = ""

    def issue(self, token: str, **claims: Any) -> str:
        """Make a token known and active."""
        self.tokens[token] = {"active": True, **claims_of(**claims)}
        return token

    async def answer(self, request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode()))
        assert request.method == "POST"
        self.asked.append(form["token"])
        self.authorization = request.headers.get("authorization", "")
        self.arrived.set()
        await self.hold.wait()
        body = json.dumps(self.tokens.get(form["token"], {"active": False}))
        status = self.outage or self.refused.get(form["token"], 200)
        if self.limits_every and len(self.asked) % self.limits_every == 0:
            status = 429
        return Response(body, status, media_type="application/json")


@asynccontextmanager
async def introspection_server() -> AsyncIterator[IntrospectionServer]:
    """A fake introspection endpoint on loopback."""
    fake = IntrospectionServer()
    fake.hold.set()
    async with serving(("/introspect", fake.answer)) as origin:
        fake.url = f"{origin}/introspect"
        yield fake
        fake.hold.set()
