"""`fhircast bench` as it is typed, against hubs that run."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result
from fhircast_bench.cli import bench
from fhircast_bench.target import is_on_this_machine
from fhircast_hub.cli.signing import mint_token
from load_generator.fake_hub import FakeHub

if TYPE_CHECKING:
    from pathlib import Path

    from app_server import Serve
    from hub_server import RunningHub, StartHub

KEY = "a key for tests only, 32 characters and more"
SMALL = ("--topics", "3", "--subscribers", "2", "--events", "30", "--in-flight", "2")
HERE = "http://127.0.0.1:9/api/hub"


async def run(*arguments: str) -> Result:
    """Run the command beside a hub that this event loop runs."""
    return await asyncio.to_thread(CliRunner().invoke, bench, arguments)


async def test_our_hub_delivers_everything_once_and_in_order(hub: RunningHub) -> None:
    done = await run("--hub-url", hub.url, *SMALL, "--warm-up", "5")
    assert done.exit_code == 0, done.output
    assert "deliveries  70 of 70: 0 missing, 0 doubled, 0 out of order" in done.output
    assert "answers     35 x 202" in done.output


async def test_json_is_all_that_is_printed(hub: RunningHub) -> None:
    done = await run("--hub-url", hub.url, *SMALL, "--json", "--rate", "500")
    assert done.exit_code == 0, done.output
    assert json.loads(done.output)["deliveries"]["missing"] == 0


async def test_rows_and_pictures_are_written(hub: RunningHub, tmp_path: Path) -> None:
    for name in ("latency.svg", "latency.png"):
        files = ("--csv", str(tmp_path / "events.csv"), "--plot", str(tmp_path / name))
        done = await run("--hub-url", hub.url, *SMALL, *files)
        assert done.exit_code == 0, done.output
    assert len((tmp_path / "events.csv").read_text().splitlines()) == 31
    assert "<svg" in (tmp_path / "latency.svg").read_text()
    assert (tmp_path / "latency.png").read_bytes().startswith(b"\x89PNG")


async def test_a_file_that_cannot_be_written_is_exit_1(hub: RunningHub, tmp_path: Path) -> None:
    """And the figures are told all the same."""
    wrong = tmp_path / "events.csv"
    wrong.symlink_to(tmp_path / "gone" / "events.csv")
    done = await run("--hub-url", hub.url, *SMALL, "--csv", str(wrong))
    assert done.exit_code == 1
    assert "not written: " in done.output
    assert "events/s" in done.output


async def test_a_token_opens_the_hub_and_a_bad_one_does_not(
    start_hub: StartHub, tmp_path: Path
) -> None:
    hub = await start_hub(auth="jwt", jwt_key=KEY)
    token = mint_token(KEY, subject="tester", client_id="bench", scope="fhircast/*.*", seconds=600)
    (tmp_path / "token").write_text(f"{token}\n")
    done = await run("--hub-url", hub.url, *SMALL, "--token-file", str(tmp_path / "token"))
    assert done.exit_code == 0, done.output
    refused = await run("--hub-url", hub.url, *SMALL, "--token", "no-token-at-all")
    assert refused.exit_code == 1
    assert "only 0 of 6 subscribers could join: the hub says 401" in refused.output
    assert "no-token-at-all" not in refused.output


@pytest.mark.parametrize(
    ("limit", "flag"),
    [
        ("FHIRCAST_MAX_PUBLISHES_PER_MINUTE", "max_publishes_per_minute"),
        ("FHIRCAST_MAX_SUBSCRIBES_PER_MINUTE", "max_subscribes_per_minute"),
        ("FHIRCAST_MAX_UPGRADES_PER_MINUTE", "max_upgrades_per_minute"),
        ("FHIRCAST_MAX_SUBSCRIBERS_PER_TOPIC", "max_subscribers_per_topic"),
        ("FHIRCAST_MAX_TOPICS", "max_topics"),
    ],
)
async def test_a_limit_of_the_hub_is_named(start_hub: StartHub, limit: str, flag: str) -> None:
    """With the setting to change: a run within a limit measures the limit."""
    hub = await start_hub(**{flag: "1"})
    done = await run("--hub-url", hub.url, *SMALL, "--in-flight", "1")
    assert done.exit_code == 1
    assert f"to do: raise {limit}" in done.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--plot", "latency.gif"), "must end in .svg or .png"),
        (("--plot", "no-such-folder/latency.svg"), "there is no folder"),
        (("--events", "0"), "--events"),
        (("--rate", "0"), "--rate"),
        (("--bytes", "10"), "--bytes"),
        (("--events", "5", "--seconds", "5"), "only one of them"),
        (("--hub-url", "nonsense"), "is no hub.url"),
        (("--hub-url", "http://192.0.2.1/api/hub"), "--yes-load-a-remote-hub"),
        (("--hub-url", "http://hub.invalid/api/hub"), "has no address"),
        (("--hub-pid", "999999999"), "no process"),
    ],
)
async def test_wrong_use_is_exit_2_and_says_what_is_wrong(
    arguments: tuple[str, ...], said: str
) -> None:
    done = await run("--hub-url", HERE, *arguments)
    assert done.exit_code == 2
    assert said in done.output


async def test_no_hub_is_exit_1_and_one_line() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/api/hub"
        done = await run("--hub-url", url)
    assert done.exit_code == 1
    assert done.output.startswith(f"Error: no answer from {url}: ")
    assert done.output.count("\n") == 1


async def test_something_else_at_the_url_is_told(hub: RunningHub) -> None:
    done = await run("--hub-url", f"{hub.origin}/elsewhere", *SMALL)
    assert done.exit_code == 1
    assert "is that its hub.url?" in done.output


async def test_a_hub_that_sends_its_subscribers_elsewhere_is_not_loaded(
    start_hub: StartHub,
) -> None:
    """The hub may be behind loopback, and its endpoints on a machine that people work with."""
    hub = await start_hub(public_url="https://192.0.2.1", allow_insecure="1")
    port = hub.origin.rpartition(":")[2]
    done = await run("--hub-url", f"http://127.0.0.1:{port}/api/hub", *SMALL)
    assert done.exit_code == 1
    assert "192.0.2.1, which is another machine" in done.output


@pytest.mark.parametrize(
    ("host", "is_here"),
    [("localhost", True), ("::1", True), ("127.8.9.1", True), ("1.1.1.1", False)],
)
def test_which_hosts_are_this_machine(host: str, is_here: bool) -> None:
    assert is_on_this_machine(host) is is_here


async def test_ctrl_c_tells_what_was_measured_so_far(serve: Serve) -> None:
    """And everybody leaves in order."""
    fake = FakeHub()
    url = await serve(fake.app) + "/hub"
    command = (sys.executable, "-m", "fhircast_hub", "bench", "--hub-url", url, *SMALL[:4])
    process = await asyncio.create_subprocess_exec(
        *command, "--seconds", "60", "--json", stdout=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(60):
            await fake.is_loaded.wait()
            process.send_signal(signal.SIGINT)
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    printed = json.loads(output)
    assert process.returncode == 0, printed
    assert (printed["is_interrupted"], printed["deliveries"]["missing"]) == (True, 0)
    assert len(fake.unsubscribed) == 6
