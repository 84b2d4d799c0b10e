"""Where keys come from: a file that changes, a server that rotates, fails, stalls or lies."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from fhircast_hub.protocol.errors import Unavailable
from fhircast_hub.security import fetching
from fhircast_hub.security.key_sources import FileKeys, UrlKeys
from fhircast_hub.security.keys import UnusableKey, parse_jwks
from issuing import EC, RSA, Answering, jwk, jwks, key_server, self_signed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from fhircast_hub.security.key_sources import KeySource

OLD, NEW = jwk(EC, "old"), jwk(RSA, "new")


class Hands:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def utc(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Hands:
    return Hands()


@pytest.fixture
async def server() -> AsyncIterator[Answering]:
    async with key_server(jwks(OLD)) as answering:
        yield answering


@pytest.fixture
async def source(server: Answering, clock: Hands) -> AsyncIterator[UrlKeys]:
    it = source_at(server.url, clock)
    yield it
    await it.close()


def source_at(url: str, clock: Hands) -> UrlKeys:
    return UrlKeys(
        url, parse_jwks, clock=clock, fresh_seconds=300, retry_seconds=10, stale_seconds=3600
    )


async def ids(source: KeySource) -> list[str]:
    return [it.id for it in await source.keys()]


# A URL


async def test_keys_are_fetched_when_they_are_needed_and_kept(
    server: Answering, source: UrlKeys, clock: Hands
) -> None:
    """SUB-10: not at the start, and not for every token."""
    assert server.asked == 0
    assert await ids(source) == ["old"]
    clock.seconds += 299
    assert await ids(source) == ["old"]
    assert server.asked == 1


async def test_keys_are_asked_for_again_when_their_time_is_over(
    server: Answering, source: UrlKeys, clock: Hands
) -> None:
    """SMART-08: a key that the issuer withdraws verifies nothing after that."""
    await source.keys()
    server.body = jwks(NEW)
    clock.seconds += 300
    assert await ids(source) == ["new"]


async def test_an_unknown_key_is_asked_for_but_not_for_every_token(
    server: Answering, source: UrlKeys, clock: Hands
) -> None:
    """SUB-10: a rotation is seen at once; made-up keys do not make the hub a flood."""
    await source.keys()
    server.body = jwks(OLD, NEW)
    clock.seconds += 10
    assert [it.id for it in await source.newer()] == ["old", "new"]
    for _ in range(50):
        await source.newer()
    clock.seconds += 9
    await source.newer()
    assert server.asked == 2


async def test_those_who_need_keys_at_once_share_one_fetch(
    server: Answering, source: UrlKeys
) -> None:
    server.hold.clear()
    asking = [asyncio.create_task(ids(source)) for _ in range(20)]
    await server.arrived.wait()
    server.hold.set()
    assert await asyncio.gather(*asking) == [["old"]] * 20
    assert server.asked == 1


async def test_while_keys_are_fetched_anew_the_known_ones_serve(
    server: Answering, source: UrlKeys, clock: Hands
) -> None:
    await source.keys()
    server.hold.clear()
    server.arrived.clear()
    clock.seconds += 300
    first = asyncio.create_task(ids(source))
    await server.arrived.wait()
    assert await ids(source) == ["old"]
    assert not first.done()
    server.hold.set()
    assert await first == ["old"]


async def test_an_outage_keeps_known_keys_for_a_while(
    server: Answering, source: UrlKeys, clock: Hands
) -> None:
    """SUB-10: then nobody is let in any more, and a retry is offered."""
    await source.keys()
    server.status = 500
    clock.seconds += 3599
    assert await ids(source) == ["old"]
    clock.seconds += 1
    with pytest.raises(Unavailable):
        await source.keys()
    server.status = 200
    clock.seconds += 10
    assert await ids(source) == ["old"]


REDIRECT = {"location": "http://127.0.0.1:9/elsewhere"}
LIES = {
    "an error": Answering(status=503),
    "a redirect": Answering(jwks(OLD), 302, REDIRECT),
    "another success": Answering(jwks(OLD), 203),
    "a page": Answering(b"<html>sign in</html>"),
    "no usable keys": Answering(b'{"keys": [{"kty": "oct"}]}'),
    "huge": Answering(jwks(OLD, *[jwk(RSA, "k" * 2000)] * 150)),
    "compressed": Answering(jwks(OLD), headers={"content-encoding": "gzip"}),
}


@pytest.mark.parametrize("name", LIES)
async def test_an_answer_that_is_none(
    server: Answering,
    source: UrlKeys,
    clock: Hands,
    caplog: pytest.LogCaptureFixture,
    name: str,
) -> None:
    """SUB-10: it brings no keys and takes none away; the log says what was wrong."""
    await source.keys()
    lie = LIES[name]
    server.body, server.status, server.headers = lie.body, lie.status, lie.headers
    clock.seconds += 300
    with caplog.at_level(logging.WARNING):
        assert await ids(source) == ["old"]
    (told,) = caplog.messages
    assert told.startswith("the keys of an issuer could not be fetched: ")
    assert "elsewhere" not in told


def rewrite(path: Path, text: bytes) -> None:
    path.write_bytes(text)


async def test_a_set_without_keys_withdraws_them_all(
    server: Answering, source: UrlKeys, clock: Hands
) -> None:
    """SMART-08: the issuer's word, and no outage."""
    await source.keys()
    server.body = b'{"keys": []}'
    clock.seconds += 300
    assert await ids(source) == []


async def test_a_file_without_keys_withdraws_them_all(path: Path) -> None:
    """SMART-08: but a hub does not start with one."""
    source = FileKeys(path, parse_jwks)
    rewrite(path, b'{"keys": []}')
    assert await source.keys() == ()
    with pytest.raises(UnusableKey, match="without keys"):
        FileKeys(path, parse_jwks)


async def test_a_server_that_stalls_is_given_up(
    server: Answering, source: UrlKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SUB-10: however slowly it answers, and a caller may try again."""
    monkeypatch.setattr(fetching, "_DEADLINE_SECONDS", 0.05)
    server.hold.clear()
    with pytest.raises(Unavailable):
        await source.keys()


async def test_a_server_that_is_not_there(clock: Hands) -> None:
    source = source_at("http://127.0.0.1:9/jwks", clock)
    for _ in range(2):
        with pytest.raises(Unavailable):
            await source.keys()
    await source.close()


async def test_a_server_over_tls_must_be_trusted(
    tmp_path: Path, clock: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SUB-10, GEN-01: who could answer in its place could make tokens; a site may trust more."""
    certificate = self_signed(tmp_path / "as.pem")
    async with key_server(jwks(OLD), tls=certificate) as server:
        stranger = source_at(server.url, clock)
        with pytest.raises(Unavailable):
            await stranger.keys()
        await stranger.close()
        assert server.asked == 0
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        known = source_at(server.url, clock)
        assert await ids(known) == ["old"]
        await known.close()


# A file


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "jwks.json"
    path.write_bytes(jwks(OLD))
    return path


def write(path: Path, text: bytes) -> None:
    path.write_bytes(text)


def move(path: Path, target: Path) -> None:
    path.replace(target)


def remove(path: Path) -> None:
    path.unlink()


async def test_a_file_is_read_again_when_it_changes(path: Path) -> None:
    """SUB-10: also by a rename, as tools that write whole files do."""
    source = FileKeys(path, parse_jwks)
    assert await ids(source) == ["old"]
    write(path, jwks(OLD, NEW))
    assert await ids(source) == ["old", "new"]
    following = path.with_suffix(".next")
    write(following, jwks(NEW))
    move(following, path)
    assert await ids(source) == ["new"]


async def test_a_file_that_breaks_leaves_the_known_keys(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """SUB-10: and is told once, not for every token."""
    source = FileKeys(path, parse_jwks)
    write(path, b"half a fi")
    assert await ids(source) == await ids(source) == ["old"]
    write(path, b" " * 300_000)
    assert await ids(source) == ["old"]
    remove(path)
    assert await ids(source) == await ids(source) == ["old"]
    assert len(caplog.records) == 3
    write(path, jwks(NEW))
    assert await ids(source) == ["new"]


def test_a_file_that_is_not_there_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(UnusableKey):
        FileKeys(tmp_path / "missing", parse_jwks)
