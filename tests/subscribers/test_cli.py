"""`python -m fhircast_subscribers` as a process, on the real hub."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from fhircast_subscribers import connect
from fhircast_subscribers.wire import encode
from subscribers.clients import FAST, reading_case, shows
from subscribers.real_hub import real_hub
from subscribers.scripted_hub import until

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator
    from pathlib import Path

    from subscribers.scripted_hub import ScriptedHub

TOPIC = "reading-room-2"


@asynccontextmanager
async def running(*arguments: str) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "fhircast_subscribers",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def line_with(process: Process, what: str) -> dict[str, Any]:
    """Read JSON lines until one says this."""
    assert process.stdout is not None
    async with asyncio.timeout(15):
        while line := await process.stdout.readline():
            value: dict[str, Any] = json.loads(line)
            if value["what"] == what:
                return value
    raise AssertionError(f"never printed: {what}")


async def test_viewer_prints_what_it_shows_and_leaves_on_ctrl_c(hub_url: str) -> None:
    """UNS-06: Ctrl-C unsubscribes; no SyncError reaches the others."""
    async with (
        connect(hub_url, TOPIC, name="WL", settings=FAST) as session,
        running("viewer", "--hub", hub_url, "--topic", TOPIC, "--json") as viewer,
    ):
        await line_with(viewer, "in sync")
        await session.open(reading_case())
        assert (await line_with(viewer, "opened"))["accession"] == "GH1"
        viewer.send_signal(signal.SIGINT)
        assert await viewer.wait() == 0
        assert session.sync.in_sync


async def test_worklist_opens_its_first_case_and_leaves_on_sigterm(
    hub_url: str, tmp_path: Path
) -> None:
    """IRA-WL-01, UNS-06."""
    case = reading_case()
    path = tmp_path / "case.json"
    value = {"report": case.report, "patient": case.patient, "study": case.studies[0]}
    path.write_bytes(encode(value))
    options = ["--hub", hub_url, "--topic", TOPIC, "--case", str(path), "--open"]
    async with (
        connect(hub_url, TOPIC, name="ID", settings=FAST) as session,
        running("worklist", *options) as worklist,
    ):
        await shows(session, lambda it: it.current is not None)
        worklist.send_signal(signal.SIGTERM)
        assert await worklist.wait() == 0
        assert session.sync.in_sync


async def test_refusal_of_the_hub_is_told_in_one_line() -> None:
    """SUB-13: exit code 1 and why; no traceback."""
    async with (
        real_hub(auth="jwt", jwt_key="k" * 32) as hub_url,
        running("viewer", "--hub", hub_url, "--topic", TOPIC) as viewer,
    ):
        out, err = await viewer.communicate()
        assert (viewer.returncode, out) == (1, b"")
        assert err.startswith(b"error: the hub answered 401")
        assert err.count(b"\n") == 1


async def test_wrong_use_is_told_before_anything_is_sent() -> None:
    """Exit code 2, as everywhere in the project."""
    async with running("dictation", "--hub", "http://127.0.0.1:9/hub", "--topic", "") as dictation:
        _out, err = await dictation.communicate()
        assert dictation.returncode == 2
        assert b"--topic must not be empty" in err


async def test_started_session_is_told_and_evidence_joins_it(hub_url: str) -> None:
    """IRA-ID-03, IRA-SUB-01, IRA-EC-01: without a topic a session is started; names are unique."""
    async with running("viewer", "--hub", hub_url, "--json") as viewer:
        told = await line_with(viewer, "session")
        assert told["hub.url"] == hub_url
        topic = told["hub.topic"]
        options = ["--hub", hub_url, "--topic", topic, "--value", "6.50"]
        async with (
            running("evidence", *options),
            running("watcher", "--hub", hub_url, "--topic", topic, "--json") as watcher,
            connect(hub_url, topic, name="WL", settings=FAST) as session,
        ):
            await line_with(watcher, "in sync")
            await session.open(reading_case())
            await line_with(watcher, "opened")
            assert len((await line_with(viewer, "content"))["changed"]) == 1
            await until(lambda: session.current and session.current.resources("Observation"))
            current = session.current
            assert current is not None
            assert encode(current.resources("Observation")[0]).count(b"6.50") == 1


async def test_logout_ends_an_application(hub_url: str) -> None:
    """INF-02, UNS-06: the user is gone, so is the subscription; nobody is told of a loss."""
    async with (
        connect(hub_url, TOPIC, name="WL", settings=FAST) as session,
        running("viewer", "--hub", hub_url, "--topic", TOPIC, "--json") as viewer,
    ):
        await line_with(viewer, "in sync")
        await session.logout()
        assert await viewer.wait() == 0
        assert session.sync.in_sync


async def test_sigterm_unsubscribes_before_it_closes(scripted: ScriptedHub) -> None:
    """UNS-01, UNS-06: seen by the hub as a POST, then the end of the socket."""
    options = ["--hub", scripted.hub_url, "--topic", scripted.topic, "--json"]
    async with running("worklist", *options) as worklist:
        await line_with(worklist, "in sync")
        assert not scripted.unsubscribes
        worklist.send_signal(signal.SIGTERM)
        assert await worklist.wait() == 0
        assert len(scripted.unsubscribes) == 1
        assert scripted.closes


async def test_two_viewers_have_different_names(scripted: ScriptedHub) -> None:
    """IRA-SUB-01: a name that is likely to be unique in the session."""
    options = ["--hub", scripted.hub_url, "--topic", scripted.topic, "--json"]
    async with running("viewer", *options) as one, running("viewer", *options) as two:
        await line_with(one, "in sync")
        await line_with(two, "in sync")
    first, second = (it["subscriber.name"] for it in scripted.subscribes)
    assert first != second
    assert first.startswith("Image Display ")


async def test_capability_statement_is_printed() -> None:
    """IRA-SUB-11."""
    async with running("capability", "image-display") as command:
        out, _err = await command.communicate()
        assert json.loads(out)["kind"] == "instance"
