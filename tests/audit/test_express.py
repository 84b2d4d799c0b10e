"""Events on the express way make the same entries as any other."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

import audit_events as told
from builders import OBSERVATION, TOPIC, put
from publisher import armed, post, watch
from raw_http import raw_connection
from wire_messages import ALL_EVENTS, marker, open_request, patient_request, update_request

if TYPE_CHECKING:
    from pathlib import Path

    from hub_server import StartHub
    from raw_http import Answer


def without_time(event: dict[str, Any]) -> dict[str, Any]:
    return {name: it for name, it in event.items() if name not in {"recorded", "id"}}


async def test_the_entry_is_that_of_the_usual_way(start_hub: StartHub, audit_file: Path) -> None:
    """RAD-148, IRA-HUB-22: who, from where, about what, with the outcome."""
    hub = await start_hub(audit_file=str(audit_file))
    seen = watch(hub)
    await hub.wire.subscribe(TOPIC, ALL_EVENTS)
    event = open_request()
    async with raw_connection(hub) as connection:
        for _ in range(2):  # the second is a duplicate
            assert (await post(connection, event)).status == 202
    assert seen.usual == 2
    await hub.stop()
    usual, express = [it for it in told.entries_of(audit_file) if told.act(it) == "open"]
    assert without_time(usual) == without_time(express)
    told.check_r4(express)


async def test_what_is_refused_makes_one_entry(start_hub: StartHub, audit_file: Path) -> None:
    """409 and 400: though they were looked at on both ways."""
    hub = await start_hub(audit_file=str(audit_file))
    await hub.wire.subscribe(TOPIC, ALL_EVENTS)
    async with armed(hub) as connection:
        answers = [
            await post(connection, update_request("v-old", put(OBSERVATION))),
            await post(connection, b"{}"),
            await post(connection, patient_request()),
        ]
    await hub.stop()
    entries = told.entries_of(audit_file)[3:-1]
    assert [told.act(it) for it in entries] == ["update", "not-understood", "open"]
    assert [it["outcomeDesc"] for it in entries[:2]] == [
        f"{it.status} {it.body.splitlines()[0].decode()}" for it in answers[:2]
    ]


async def test_a_required_trail_that_fails_refuses(start_hub: StartHub, audit_file: Path) -> None:
    """503 with Retry-After, until it can be written again; nothing is lost of what was accepted."""
    hub = await start_hub(audit_file=str(audit_file), audit_required="1")
    await hub.wire.subscribe(TOPIC, ALL_EVENTS)
    accepted = 1

    async def until(status: int) -> Answer:
        nonlocal accepted
        async with asyncio.timeout(15):
            while True:
                answer = await post(connection, marker())
                accepted += answer.status == 202
                if answer.status == status:
                    return answer

    async with armed(hub) as connection:
        moved = told.put_a_directory_in_place_of(audit_file)
        answer = await until(503)
        assert answer.body.startswith(b"audit: ")
        assert "retry-after" in dict(answer.headers)
        os.rmdir(audit_file)
        await until(202)
    await hub.stop()
    acts = [told.act(it) for path in (moved, audit_file) for it in told.entries_of(path)]
    assert acts.count("event") == accepted
    assert "entries-lost" not in acts
