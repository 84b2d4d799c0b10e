"""Endpoints that ended or never were: what tells a client that retries, and not a guesser."""

from __future__ import annotations

from secrets import token_urlsafe
from typing import TYPE_CHECKING

import pytest
from builders import TOPIC
from clients.medplum import EVENTS, Medplum
from websockets.exceptions import InvalidStatus

if TYPE_CHECKING:
    from clients.conftest import ComeIn, MeetNeighbour
    from hub_server import RunningHub, StartHub


async def ended(origin: str, come_in: ComeIn) -> Medplum:
    """Return a client that was away when its subscription ended, with the network back."""
    medplum = await come_in(Medplum(origin, TOPIC))
    await medplum.join()
    await medplum.lose_network()
    assert (await medplum.unsubscribe()).status_code == 202
    medplum.network.set()
    return medplum


async def test_a_denial_says_what_has_ended(hub: RunningHub, come_in: ComeIn) -> None:
    """D-43: topic and events as last known, as the subscriber spelled them."""
    medplum = await ended(hub.origin, come_in)
    while await medplum.next_state() != "denied":
        pass
    denial = medplum.frames[-1]
    assert denial.pop("hub.reason")
    assert denial == {"hub.mode": "denied", "hub.topic": TOPIC, "hub.events": ",".join(EVENTS)}


async def test_a_denial_of_a_guess_tells_nothing(hub: RunningHub) -> None:
    """D-43: nobody learns a topic from an id that never was."""
    guess = await hub.wire.connect(_guess(hub.url))
    denial = await guess.next()
    assert (denial["hub.topic"], denial["hub.events"]) == ("", "")
    assert await guess.close_code() == 1008


async def test_guesses_are_limited_and_clients_are_not(
    start_hub: StartHub, come_in: ComeIn, meet_neighbour: MeetNeighbour
) -> None:
    """D-43: 429 over the limit for unknown ids only; the same address joins and is denied on."""
    hub = await start_hub(max_unknown_upgrades_per_minute="5")
    for _ in range(5):
        await hub.wire.connect(_guess(hub.url))
    with pytest.raises(InvalidStatus) as refusal:
        await hub.wire.connect(_guess(hub.url))
    assert refusal.value.response.status_code == 429
    medplum = await come_in(Medplum(hub.origin, TOPIC))
    await medplum.join()
    neighbour = await meet_neighbour(hub.origin)
    gone = await ended(hub.origin, come_in)
    while await gone.next_state() != "denied":
        pass
    assert gone.attempts == 2
    await neighbour.nothing_but_a_marker_comes()


def _guess(hub_url: str) -> str:
    return f"{hub_url.replace('http', 'ws')}/ws/{token_urlsafe(24)}"
