"""Several writers update one report at once: one linear chain of versions, and no update is lost.

Every update counts a shared resource up from what its writer last saw, so that a lost update would
show in the sum.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from builders import case, delete, put, target
from fhircast_subscribers import VersionStale, connect
from subscribers.clients import FAST
from wire_messages import open_request, update_request

if TYPE_CHECKING:
    from collections.abc import Iterable

    from builders import Json
    from fhircast_conformance.wire import Socket, Wire
    from fhircast_subscribers import Follower, HubSession, OpenContext
    from hub_server import RunningHub

TOPIC = open_request()["event"]["hub.topic"]
ANCHOR = target(case(1)[0])
COUNTER = "Observation/counter"
WRITERS, UPDATES = 4, 200
WRITERS_WITH_LIBRARY, UPDATES_WITH_LIBRARY = 4, 25
WITHIN_SECONDS = 60


def counter(value: int) -> Json:
    subject = {"reference": "Patient/pt-1"}
    return {
        "resourceType": "Observation",
        "id": "counter",
        "status": "preliminary",
        "subject": subject,
        "valueInteger": value,
    }


def replayed(updates: Iterable[Json], content: dict[str, Json] | None = None) -> dict[str, Json]:
    """The content after these broadcasts, one after the other."""
    content = {} if content is None else content
    for frame in updates:
        (bundle,) = [it for it in frame["event"]["context"] if it["key"] == "updates"]
        for entry in bundle["resource"]["entry"]:
            if entry["request"]["method"] == "DELETE":
                content.pop(entry["fullUrl"], None)
            else:
                content[target(entry["resource"])] = entry["resource"]
    return content


class Reader:
    """A subscriber that writes down every broadcast, and knows the content at its version."""

    def __init__(self, socket: Socket) -> None:
        self.socket = socket
        self.version = ""
        self.updates: list[Json] = []
        self.content: dict[str, Json] = {}
        self._moved = asyncio.Event()

    async def follow(self, count: int) -> None:
        """Read the open and this many updates; everything is acknowledged."""
        for _ in range(count + 1):
            frame = await self.socket.followed(within=WITHIN_SECONDS)
            if frame["event"]["hub.event"] == "DiagnosticReport-update":
                self.updates.append(frame)
                replayed([frame], self.content)
            self.version = frame["event"]["context.versionId"]
            self._moved.set()
            self._moved = asyncio.Event()

    async def moved_past(self, version: str) -> None:
        async with asyncio.timeout(WITHIN_SECONDS):
            while self.version == version:
                await self._moved.wait()

    @property
    def chain(self) -> list[tuple[str, str, str]]:
        """Id, version and prior version of each update."""
        return [
            (it["id"], it["event"]["context.versionId"], it["event"]["context.priorVersionId"])
            for it in self.updates
        ]


class Writer:
    """Shares one measurement after the other, based on what its reader saw last."""

    def __init__(self, wire: Wire, reader: Reader, number: int) -> None:
        self.wire = wire
        self.reader = reader
        self.number = number
        self.accepted: list[tuple[str, str]] = []
        self.conflicts = 0

    async def share(self, count: int) -> None:
        for step in range(count):
            while not await self._try(step):
                self.conflicts += 1

    async def _try(self, step: int) -> bool:
        """Post one update on the newest known version; wait until there is a newer one."""
        based_on, content = self.reader.version, self.reader.content
        seen = content[COUNTER]["valueInteger"] if COUNTER in content else 0
        own = {**counter(step), "id": f"ob-{self.number}-{step % 20}"}
        gone = f"Observation/ob-{self.number}-{(step + 7) % 20}"
        request = update_request(based_on, put(counter(seen + 1)), put(own), delete(gone))
        answer = await self.wire.post(request)
        assert answer.status_code in {202, 409}, answer.text
        if answer.status_code == 202:
            self.accepted.append((request["id"], answer.json()["context.versionId"]))
        await self.reader.moved_past(based_on)
        return answer.status_code == 202


async def opened(hub: RunningHub, readers: int) -> list[Reader]:
    """A report that is open, and subscribers that have seen it open."""
    found = [Reader(await hub.wire.join(TOPIC, name=f"reader {it}")) for it in range(readers)]
    answer = await hub.wire.post(open_request())
    assert answer.status_code == 202, answer.text
    for it in found:
        it.version = answer.json()["context.versionId"]
    return found


async def shared_content(wire: Wire) -> tuple[str, dict[str, Json]]:
    """What a GET says: the version and the content."""
    view = await wire.context(TOPIC)
    entries = view["context"][-1]["resource"]["entry"]
    return view["context.versionId"], {it["fullUrl"]: it["resource"] for it in entries}


def assert_linear(chain: list[tuple[str, str, str]], opened_as: str) -> None:
    versions = [opened_as, *(version for _id, version, _prior in chain)]
    assert [prior for _id, _version, prior in chain] == versions[:-1]
    assert len(set(versions)) == len(versions)
    assert len({id_ for id_, _version, _prior in chain}) == len(chain)


def assert_follows(follower: Follower, version: str, content: dict[str, Json]) -> None:
    current = follower.current
    assert current is not None
    assert (current.anchor, current.version_id) == (ANCHOR, version)
    assert dict(current.content) == content
    assert follower.in_sync


async def test_racing_updates_form_one_chain_and_none_is_lost(hub: RunningHub) -> None:
    """CONT-03, CONT-04, CONT-06: 4 writers, 200 updates each, retried until they are accepted."""
    readers = await opened(hub, WRITERS + 2)
    opened_as = readers[0].version
    writers = [Writer(await hub.client(), readers[it], it) for it in range(WRITERS)]
    async with connect(hub.url, TOPIC, name="library", settings=FAST) as session:
        async with asyncio.TaskGroup() as tasks:
            following = tasks.create_task(follow_silently(session))
            for reader in readers:
                tasks.create_task(reader.follow(WRITERS * UPDATES))
            await asyncio.gather(*(it.share(UPDATES) for it in writers))
            version = (await shared_content(hub.wire))[0]
            assert await session.wait_until(lambda it: has_version(it, version), WITHIN_SECONDS)
            following.cancel()
        chain = readers[0].chain
        assert_linear(chain, opened_as)
        assert all(it.chain == chain for it in readers)
        accepted = [pair for it in writers for pair in it.accepted]
        assert sorted(accepted) == sorted((id_, version) for id_, version, _prior in chain)
        assert all(len(it.accepted) == UPDATES for it in writers)
        assert sum(it.conflicts for it in writers) > UPDATES, "the writers did not race"
        content = replayed(readers[-1].updates)
        assert content[COUNTER]["valueInteger"] == WRITERS * UPDATES
        assert await shared_content(hub.wire) == (chain[-1][1], content)
        assert_follows(session.follower, chain[-1][1], content)


async def test_racing_updates_of_our_own_clients_lose_nothing(hub: RunningHub) -> None:
    """CONT-06, CONT-18: clients of the library count one resource up, all at the same time."""
    (reader,) = await opened(hub, 1)
    opened_as, total = reader.version, WRITERS_WITH_LIBRARY * UPDATES_WITH_LIBRARY
    async with AsyncExitStack() as sessions, asyncio.TaskGroup() as tasks:
        joined = [
            await sessions.enter_async_context(
                connect(hub.url, TOPIC, name=f"writer {it}", settings=FAST)
            )
            for it in range(WRITERS_WITH_LIBRARY)
        ]
        following = [tasks.create_task(follow_silently(it)) for it in joined]
        tasks.create_task(reader.follow(total))
        await asyncio.gather(*(count_up(it, UPDATES_WITH_LIBRARY) for it in joined))
        version, content = await shared_content(hub.wire)
        for session in joined:
            assert await session.wait_until(lambda it: has_version(it, version), WITHIN_SECONDS)
            assert_follows(session.follower, version, content)
        for it in following:
            it.cancel()
    assert_linear(reader.chain, opened_as)
    assert content == replayed(reader.updates)
    assert content[COUNTER]["valueInteger"] == len(reader.updates) == total


async def follow_silently(session: HubSession) -> None:
    """Answer everything 200."""
    async for _received in session:
        pass


async def count_up(session: HubSession, times: int) -> None:
    """Count the shared resource up; whoever is overtaken twice starts again."""

    def one_more(context: OpenContext) -> list[Any]:
        known = context.content.get(COUNTER)
        return [counter(known["valueInteger"] + 1 if known else 1)]

    for _ in range(times):
        is_accepted = False
        while not is_accepted:
            try:
                await session.update(one_more)
            except VersionStale:
                continue
            is_accepted = True


def has_version(follower: Follower, version: str) -> bool:
    return follower.current is not None and follower.current.version_id == version
