"""Three applications race on the wire: the broadcasts, played to the model, are what all show.

Nobody knows in which order requests arrive. It is read from the broadcasts, and in that order the
model must accept each of them.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING

import pytest
from builders import bundle, case, item, message, observation, put, ref
from e2e.context_model import ContextModel, anchor_of
from e2e.memory_room import shown_by
from fhircast_subscribers import connect
from fhircast_subscribers.wire import decode
from subscribers.clients import FAST

if TYPE_CHECKING:
    from builders import Json
    from fhircast_conformance.wire import Socket, Wire
    from fhircast_subscribers import Follower, HubSession
    from hub_server import RunningHub

ROUNDS = 36
REQUESTS = 8
WITHIN_SECONDS = 20
EVENTS = (
    *(f"DiagnosticReport-{suffix}" for suffix in ("open", "close", "update")),
    *(f"Patient-{suffix}" for suffix in ("open", "close", "update")),
    "Home-open",
    "org.example.marker",
)
REPORT, PATIENT, STUDY = case(1)
REPORT_2, PATIENT_2, STUDY_2 = case(2)
CASES = [(REPORT, PATIENT, STUDY), (REPORT_2, PATIENT_2, STUDY_2), (PATIENT,)]


class Racer:
    """An application that sends one request after the other, each once it has an answer."""

    def __init__(self, wire: Wire, session: HubSession, random: Random) -> None:
        self.wire = wire
        self.session = session
        self.random = random
        self.sent: dict[str, Json] = {}
        self.accepted: set[str] = set()
        self.opened_at = datetime.now(UTC) - timedelta(seconds=10)

    async def race(self) -> None:
        for _ in range(REQUESTS):
            request = self.request()
            self.sent[request["id"]] = request
            # Now and then the same request twice at once, as after a lost answer (D-28).
            copies = self.random.choice([1, 1, 1, 2])
            answers = await asyncio.gather(*(self.wire.post(request) for _ in range(copies)))
            statuses = {it.status_code for it in answers}
            assert statuses in ({202}, {409}), statuses
            if statuses == {202}:
                self.accepted.add(request["id"])

    def request(self) -> Json:
        """Open, close, go home, or update what this application knows.

        Opens of one round happened at the same moment: none of them is late. A close may be.
        """
        topic, kind = (
            self.session.topic,
            self.random.choice(["open"] * 3 + ["update"] * 5 + ["close", "home"]),
        )
        known = list(self.session.contexts.values())
        if kind == "update" and known:
            context = self.random.choice(known)
            key = "report" if context.anchor_type == "DiagnosticReport" else "patient"
            shared = observation(f"ob-{self.random.randint(1, 4)}", self.random.randint(1, 99))
            updates = {"key": "updates", "resource": bundle(put(shared))}
            items = [ref(context.anchor, key), updates]
            name = f"{context.anchor_type}-update"
            return self.stamped(name, items, topic, version_id=context.version_id)
        if kind == "home":
            return self.stamped("Home-open", [], topic)
        chosen = self.random.choice(CASES)
        items = [item(it) for it in chosen]
        if kind == "close":
            late = self.random.choice([-1, 0, 1])
            return self.stamped(f"{chosen[0]['resourceType']}-close", items, topic, late=late)
        return self.stamped(f"{chosen[0]['resourceType']}-open", items, topic)

    def stamped(
        self, name: str, items: list[Json], topic: str, *, late: int = 0, version_id: str = ""
    ) -> Json:
        at = self.opened_at + timedelta(seconds=late)
        return message(name, items, at=at, topic=topic, version_id=version_id)


@pytest.mark.parametrize("seed", range(ROUNDS))
async def test_everybody_shows_what_the_broadcasts_amount_to(hub: RunningHub, seed: int) -> None:
    """CONT-03, CONT-06, TAB-01 … TAB-03, CTX-02 … CTX-06, D-11, D-26 … D-28."""
    topic, random = f"round {seed}", Random(seed)
    reader = await hub.wire.join(topic, EVENTS, name="reader")
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
        racers = []
        for name in ("worklist", "viewer", "dictation"):
            session = await stack.enter_async_context(
                connect(hub.url, topic, name=name, events=EVENTS, settings=FAST)
            )
            racers.append(Racer(await hub.client(), session, Random(random.random())))
        following = [tasks.create_task(answer_all(it.session)) for it in racers]
        start = datetime.now(UTC) - timedelta(seconds=10)
        for it in racers:
            it.opened_at = start
        await asyncio.gather(*(it.race() for it in racers))
        model, version = await replayed(reader, racers)
        marker = message("org.example.marker", [], topic=topic, at=start)
        assert (await hub.wire.post(marker)).status_code == 202
        assert (await reader.followed())["id"] == marker["id"]  # and nothing came twice
        view = (await hub.wire.get(topic)).content
        assert shown_by(view) == model.shown
        assert not model.current or decode(view)["context.versionId"] == version == model.version
        for racer in racers:
            await shows(racer.session, model)
        for task in following:
            task.cancel()


async def replayed(reader: Socket, racers: list[Racer]) -> tuple[ContextModel, str]:
    """Play the broadcasts to the model; return it with the version of the current context."""
    sent = {id_: request for it in racers for id_, request in it.sent.items()}
    missing = {id_ for it in racers for id_ in it.accepted}
    model, versions = ContextModel(), dict[str, str]()
    while missing:
        frame = await reader.followed(within=WITHIN_SECONDS)
        missing.remove(frame["id"])  # each accepted one once, and nothing that was refused
        request = sent[frame["id"]]
        assert model.status_of(request, datetime.now(UTC)) == 202
        version = frame["event"].get("context.versionId", "")
        model.accept(request, version)
        versions[anchor_of(request)] = version or versions.get(anchor_of(request), "")
    return model, versions.get(model.current, "")


async def answer_all(session: HubSession) -> None:
    async for _received in session:
        pass


async def shows(session: HubSession, model: ContextModel) -> None:
    """Wait until the application shows what the model says."""

    def is_there(follower: Follower) -> bool:
        current = follower.current
        if current is None:
            return not model.current and not follower.needs_read
        shown = current.anchor, list(current.items), dict(current.content)
        return shown == model.shown and current.version_id == model.version

    assert await session.wait_until(is_there, WITHIN_SECONDS), session.name
