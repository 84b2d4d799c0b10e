"""The endpoint URL is the ticket: unguessable, short of life while unused, one live connection."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest
from builders import TOPIC
from fhircast_hub.clock import new_endpoint_id
from websockets.exceptions import InvalidStatus
from wire_messages import denied_and_closed, marker, only_marker_comes

if TYPE_CHECKING:
    from hub_server import RunningHub, StartHub


def test_endpoint_ids_hold_enough_randomness() -> None:
    """SUB-15, D-43: 10 000 are distinct, of 192 random bits, each bit set in about half of them."""
    ids = [new_endpoint_id() for _ in range(10_000)]
    assert len(set(ids)) == len(ids)
    raw = [int.from_bytes(base64.urlsafe_b64decode(it)) for it in ids]
    for bit in range(192):
        assert 4500 < sum(it >> bit & 1 for it in raw) < 5500  # ten standard deviations


async def test_an_endpoint_with_one_character_changed_opens_nothing(hub: RunningHub) -> None:
    """SUB-15, D-43: at any place: a denial, no confirmation, and the right one still works."""
    endpoint = (await hub.wire.subscribe(TOPIC)).json()["hub.channel.endpoint"]
    for place in (-1, -16, -32):
        other = "A" if endpoint[place] != "A" else "B"
        changed = endpoint[:place] + other + (endpoint[place + 1 :] if place != -1 else "")
        assert (await denied_and_closed(await hub.wire.connect(changed)))[1] == 1008
    await (await hub.wire.connect(endpoint)).confirmed()


@pytest.mark.parametrize("origin", [None, "null", "https://evil.example", "http://127.0.0.1"])
async def test_the_origin_of_a_socket_does_not_count(hub: RunningHub, origin: str | None) -> None:
    """SEC-02: a page that does not have the URL has nothing; with it, any page may connect."""
    endpoint = (await hub.wire.subscribe(TOPIC)).json()["hub.channel.endpoint"]
    await (await hub.wire.connect(endpoint, origin=origin)).confirmed()
    guess = endpoint[:-32] + "A" * 32
    assert (await denied_and_closed(await hub.wire.connect(guess, origin=origin)))[1] == 1008


async def test_cookies_and_tokens_on_the_upgrade_open_nothing(start_hub: StartHub) -> None:
    """SEC-02: what a browser sends by itself is of no use to a page that lures it here."""
    hub = await start_hub(max_unknown_upgrades_per_minute="1")
    guess = hub.url.replace("http", "ws", 1) + "/ws/" + "A" * 32
    headers = {"Cookie": "session=x", "Authorization": "Bearer x"}
    socket = await hub.wire.connect(guess, additional_headers=headers)
    assert (await denied_and_closed(socket))[1] == 1008
    with pytest.raises(InvalidStatus):
        await hub.wire.connect(guess, additional_headers=headers)


async def test_one_live_connection_the_newest(hub: RunningHub) -> None:
    """D-44, SEC-02: the older is closed 1008 without a denial, and only the newer hears."""
    old = await hub.wire.join(TOPIC, ["org.example.marker"])
    new = await (await hub.wire.connect(old.endpoint)).confirmed()
    assert await old.close_code() == 1008
    await only_marker_comes(hub.wire, new)


async def test_an_unused_endpoint_dies_and_a_used_one_does_not(start_hub: StartHub) -> None:
    """SEC-02: `FHIRCAST_ENDPOINT_UNUSED_SECONDS` is the life of those nobody connected to."""
    hub = await start_hub(endpoint_unused_seconds="1", max_subscribers_per_topic="2")
    used = await hub.wire.join(TOPIC, ["org.example.marker"])
    unused = (await hub.wire.subscribe(TOPIC)).json()["hub.channel.endpoint"]
    while (await hub.wire.subscribe(TOPIC)).status_code == 429:
        pass
    assert (await denied_and_closed(await hub.wire.connect(unused)))[1] == 1008
    sent = marker()
    assert (await hub.wire.post(sent)).status_code == 202
    assert (await used.followed())["id"] == sent["id"]
