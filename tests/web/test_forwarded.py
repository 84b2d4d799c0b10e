"""Who the client behind a proxy is, and that nobody can pretend to be another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from builders import TOPIC
from fhircast_hub.web.forwarded import Client, TrustedProxies, client_of, is_host

if TYPE_CHECKING:
    from hub_server import StartHub

PROXY, CLIENT, LIAR = "10.1.0.1", "203.0.113.7", "198.51.100.66"
TRUSTED = TrustedProxies(["10.1.0.0/16", "2001:db8:5::/48"])


def x_forwarded(*lines: str, peer: str = PROXY, **more: str) -> Client:
    headers = [("x-forwarded-for", it) for it in lines]
    headers += [(f"x-forwarded-{name}", it) for name, it in more.items()]
    return client_of(peer, headers, TRUSTED, is_forwarded=False)


def forwarded(*lines: str, peer: str = PROXY) -> Client:
    return client_of(peer, [("forwarded", it) for it in lines], TRUSTED, is_forwarded=True)


def test_a_proxy_tells_the_client() -> None:
    """D-43, GEN-01: address, scheme and host."""
    told = x_forwarded(CLIENT, proto="https", host="hub.example.org:444")
    assert told == Client(CLIENT, "https", "hub.example.org:444")


def test_anybody_else_tells_nothing() -> None:
    """D-43: the headers of a client that connects directly are its own invention."""
    assert x_forwarded(CLIENT, peer=LIAR, proto="https", host="evil") == Client(LIAR)
    assert forwarded(f"for={CLIENT};proto=https;host=evil", peer=LIAR) == Client(LIAR)


def test_the_rightmost_that_is_no_proxy_counts() -> None:
    """D-43: what stands left of it came with the request, and could be anything."""
    assert x_forwarded(f"{CLIENT}, {LIAR}").address == LIAR
    assert x_forwarded(f"{CLIENT}, {LIAR}, 10.1.0.9").address == LIAR
    assert x_forwarded(CLIENT, f"{LIAR},10.1.0.9").address == LIAR
    assert x_forwarded("10.1.0.8, 10.1.0.9").address == "10.1.0.8"
    assert forwarded(f"for={CLIENT}", f"for={LIAR}, for=10.1.0.9").address == LIAR


@pytest.mark.parametrize(
    "line", ["", "unknown", "_hidden", "1.2.3", "x" * 5000, f"{CLIENT}, \x7f", "[::1", "::1]:8"]
)
def test_what_is_malformed_is_not_believed(line: str) -> None:
    """D-43: then the client is who connected."""
    assert x_forwarded(line).address == PROXY
    assert forwarded(f"for={CLIENT}, for={line}").address == PROXY


@pytest.mark.parametrize(
    ("written", "address"),
    [
        (CLIENT, CLIENT),
        (f"{CLIENT}:4711", CLIENT),
        ("2001:db8:9::7", "2001:db8:9::7"),
        ("[2001:db8:9::7]:4711", "2001:db8:9::7"),
        (f"::ffff:{CLIENT}", CLIENT),
    ],
)
def test_addresses_with_and_without_a_port(written: str, address: str) -> None:
    """D-43: as proxies write them."""
    assert x_forwarded(written).address == address
    assert forwarded(f'for="{written}"').address == address


def test_the_standard_header() -> None:
    """RFC 7239: quoted and plain, in any case, with pairs that we do not know."""
    line = f'By=x; FOR="{CLIENT}:1" ;Proto=HTTPS;host="hub.example.org";secret="a,b;c\\"d"'
    assert forwarded(f"for={LIAR}, {line}") == Client(CLIENT, "https", "hub.example.org")
    assert forwarded(f"{line}, for=") == Client(PROXY)
    assert forwarded('for="open') == Client(PROXY)


def test_the_other_header_is_passed_over() -> None:
    """D-43: a proxy passes on what it does not know as the client wrote it."""
    headers = [("forwarded", f"for={LIAR}"), ("x-forwarded-for", CLIENT)]
    assert client_of(PROXY, headers, TRUSTED, is_forwarded=False).address == CLIENT
    assert client_of(PROXY, headers, TRUSTED, is_forwarded=True).address == LIAR


def test_the_list_is_read_to_a_bound() -> None:
    """D-43: a client may send any number of addresses in front."""
    assert x_forwarded(", ".join([LIAR] * 5000 + [CLIENT])).address == CLIENT
    assert x_forwarded(", ".join([CLIENT] + ["10.1.0.2"] * 100)).address == PROXY


@pytest.mark.parametrize(
    ("scheme", "host"), [("ftp", "a b"), ("", "a/b"), ("https,http,", "[::1"), ("javascript", "é")]
)
def test_scheme_and_host_are_checked(scheme: str, host: str) -> None:
    """GEN-02: what is none counts as not said."""
    assert x_forwarded(CLIENT, proto=scheme, host=host) == Client(CLIENT)


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("hub.example.org", True),
        ("my_hub:8080", True),
        ("[::1]:80", True),
        ("127.0.0.1", True),
        ("", False),
        ("a" * 254, False),
        ("a@b", False),
        ("a/b", False),
        ("a b", False),
        ("a:b", False),
        ("a:123456", False),
        ("a,b", False),
    ],
)
def test_a_host_is_a_name_or_an_address(text: str, good: bool) -> None:
    """GEN-01: of it endpoint URLs are made."""
    assert is_host(text) is good


# On the wire: this machine is the proxy


async def test_the_endpoint_is_as_the_client_sees_the_hub(start_hub: StartHub) -> None:
    """GEN-02, SUB-14: wss and the host that the client asked the proxy for."""
    hub = await start_hub(trusted_proxies="127.0.0.1")
    hub.wire.http.headers.update({"X-Forwarded-Proto": "https", "X-Forwarded-Host": "hub.test"})
    answer = await hub.wire.subscribe(TOPIC)
    endpoint = answer.json()["hub.channel.endpoint"]
    assert endpoint.startswith("wss://hub.test/api/hub/ws/")


@pytest.mark.parametrize(
    ("settings", "origin"),
    [
        ({}, "ws://127.0.0.1:"),
        ({"trusted_proxies": "10.0.0.0/8"}, "ws://127.0.0.1:"),
        (
            {
                "trusted_proxies": "127.0.0.1",
                "public_url": "https://a.test",
                "allow_insecure": "1",
            },
            "wss://a.test/",
        ),
    ],
)
async def test_nobody_else_moves_the_endpoint(
    start_hub: StartHub, settings: dict[str, str], origin: str
) -> None:
    """GEN-02, SUB-14: a client does not, and under FHIRCAST_PUBLIC_URL a proxy does not either."""
    hub = await start_hub(**settings)
    wire = await hub.client()
    wire.hub_url = f"{hub.origin}/api/hub"
    wire.http.headers.update({"X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil.test"})
    answer = await wire.subscribe(TOPIC)
    assert answer.json()["hub.channel.endpoint"].startswith(origin)


async def test_clients_behind_a_proxy_have_a_count_each(start_hub: StartHub) -> None:
    """D-43: 429 for the one that asks too often, and not for its neighbour; nor by a lie."""
    hub = await start_hub(trusted_proxies="127.0.0.1", max_reads_per_minute="1")

    async def read(chain: str) -> int:
        headers = {"X-Forwarded-For": chain}
        return (await hub.wire.http.get(f"{hub.url}/x", headers=headers)).status_code

    assert [await read(CLIENT), await read(CLIENT)] == [404, 429]
    assert await read(f"{LIAR}, {CLIENT}") == 429
    assert await read("203.0.113.8") == 404
