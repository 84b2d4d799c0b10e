"""`fhircast conform-subscriber`, as it is typed: real processes, a driver, a person."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from click.testing import CliRunner, Result
from conformance_kit.plain_subscriber import PlainSubscriber
from fhircast_conformance.subscriber.application import ACTIONS, Driver
from fhircast_conformance.subscriber.cli import conform_subscriber

if TYPE_CHECKING:
    from pathlib import Path

    from fhircast_conformance.subscriber import PlayedHub

QUICK = ("--quiet", "0.3", "--join-timeout", "20", "--lease", "1")


def judge(*arguments: str) -> Result:
    return CliRunner().invoke(conform_subscriber, arguments)


@pytest.mark.parametrize("adapter", ["viewer", "dictation", "worklist", "watcher"])
def test_the_adapters_hold_as_processes(adapter: str, tmp_path: Path) -> None:
    """SUB-01, UNS-06, ACK-01: the reference applications, started and ended by the kit."""
    rows = {"SUB-01", "UNS-01", "UNS-06", "ACK-01", "IRA-SUB-02"}
    done, verdicts = judge_process(adapter, rows, tmp_path)
    assert done.exit_code == 0, done.output
    assert verdicts == dict.fromkeys(rows, "passed")
    assert (tmp_path / "output").read_bytes()
    assert "FHIRCAST_HUB_URL" in done.stderr
    assert "[1/" in done.stderr


def test_an_application_that_acts_by_itself_needs_no_driver(tmp_path: Path) -> None:
    """CONT-02, CONT-17, IRA-EC-02: an evidence creator shares a measurement for every open."""
    rows = {"CONT-02", "CONT-10", "CONT-21", "EVT-09", "IRA-CC-04", "IRA-EC-02"}
    actor = ("--actor", "stateless-evidence-creator")
    done, verdicts = judge_process("evidence --value 8.2", rows, tmp_path, *actor)
    assert done.exit_code == 0, done.output
    assert verdicts == dict.fromkeys(rows, "passed")


def test_the_command_line_subscriber_holds_too(tmp_path: Path) -> None:
    """UNS-06, ACK-01, CONF-07: `fhircast sub`, which asks for every event of the catalogue."""
    rows = {"UNS-01", "UNS-06", "ACK-01", "CONF-07"}
    code = "from fhircast_hub.cli.main import main; main()"
    script = (
        f'exec {sys.executable} -c "{code}" sub "$FHIRCAST_HUB_TOPIC" --hub "$FHIRCAST_HUB_URL"'
    )
    done, verdicts = judge_script(script, rows, tmp_path)
    assert done.exit_code == 0, done.output
    assert verdicts == dict.fromkeys(rows, "passed")


def judge_process(
    adapter: str, rows: set[str], where: Path, *more: str
) -> tuple[Result, dict[str, str]]:
    """Judge a reference application as a process; return its verdicts by row."""
    script = (
        f"exec {sys.executable} -m fhircast_subscribers {adapter} "
        '--hub "$FHIRCAST_HUB_URL" --topic "$FHIRCAST_HUB_TOPIC"'
    )
    return judge_script(script, rows, where, "--profile", "ira", *more)


def judge_script(
    script: str, rows: set[str], where: Path, *more: str
) -> tuple[Result, dict[str, str]]:
    """Judge what a shell line runs; return its verdicts by row."""
    found = where / "found.json"
    done = judge(
        *("--only", ",".join(sorted(rows)), *QUICK, *more),
        *("--app-output", str(where / "output"), "--json", str(found), "--", "sh", "-c", script),
    )
    judged = json.loads(found.read_bytes())["rows"]
    return done, {it["id"]: it["verdict"] for it in judged}


def test_an_application_that_does_not_join_is_undecided_and_exit_code_1() -> None:
    """Nothing can be said of it, and that is not a pass."""
    done = judge("--join-timeout", "0.3", "--quiet", "0.1", "--", sys.executable, "-c", "pass")
    assert done.exit_code == 1
    assert "did not subscribe and connect within 0.3 s" in done.output
    assert "0 passed, 0 failed" in done.stdout


def test_an_application_that_ends_by_itself_is_said_with_its_exit_code() -> None:
    """Why nobody joins is the first thing that its makers want to know."""
    program = (sys.executable, "-c", "raise SystemExit(3)")
    done = judge("--join-timeout", "2", "--quiet", "0.1", "--", *program)
    assert done.exit_code == 1
    assert "ended by itself, last with exit code 3; --app-output keeps its output" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--only", "NONSENSE"), "NONSENSE: no row or family"),
        (("--only", "IRA-PR"), "in profile base"),
        (("--interactive", "--driver-cmd", "x"), "only one of them"),
        (("--", "/no/such/program"), "/no/such/program cannot be run"),
        (("--htlm", "x", "--", sys.executable), "there is no option --htlm"),
        (("--join-timeout", "-1"), "--join-timeout"),
        (("--token", "one two"), "no bearer token"),
        (("--driver-cmd", "echo 'a"), "--driver-cmd: No closing quotation"),
        (("--driver-cmd", "/no/such/driver"), "/no/such/driver cannot be run"),
        (("--app-output", "/no/such/folder/x"), "its folder does not exist"),
        (("--html", "/no/such/folder/x"), "its folder does not exist"),
    ],
)
def test_wrong_use_is_exit_code_2(arguments: tuple[str, ...], said: str) -> None:
    done = judge(*arguments)
    assert done.exit_code == 2
    assert said in done.output


def test_a_port_that_is_taken_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = judge("--port", str(taken.getsockname()[1]))
    assert done.exit_code == 2
    assert "cannot listen on 127.0.0.1" in done.output


def test_the_scenarios_can_be_listed() -> None:
    done = judge("--list", "--profile", "ira", "--only", "SYNC-12")
    assert done.exit_code == 0
    assert "resends_what_was_not_followed" in done.output
    assert "SYNC-12" in done.output


async def test_a_driver_works_at_the_application(tmp_path: Path) -> None:
    """It is called with the action's name, learns the session, and may decline."""
    script = tmp_path / "drive.py"
    script.write_text(
        "import os, sys\n"
        "action = sys.argv[1]\n"
        "if action == 'shown': print(os.environ['FHIRCAST_HUB_TOPIC'])\n"
        "sys.exit(0 if action in ('open', 'shown') else 1)\n"
    )
    environment = {"FHIRCAST_HUB_TOPIC": "Patient/1"}
    driver = Driver(f"{sys.executable} {script}", environment)
    done = {action: await driver.act(action) for action in ACTIONS}
    assert [action for action, is_done in done.items() if is_done] == ["open"]
    assert await driver.shows("Patient/1", "") is True
    assert await driver.shows("Patient/2", "") is False


async def test_a_driver_that_hangs_is_given_up(tmp_path: Path) -> None:
    script = tmp_path / "drive.py"
    script.write_text("import time\ntime.sleep(600)\n")
    driver = Driver(f"{sys.executable} {script}", {}, within=0.2)
    assert await driver.act("open") is False
    assert await driver.shows("Patient/1", "") is None


async def test_a_person_is_asked_what_the_application_shows() -> None:
    """EVT-10: an application started by hand, and a person who looks at it."""
    command = ("from fhircast_hub.cli.main import main; main()", "conform-subscriber")
    kit = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", *command, "--interactive", "--only", "EVT-10", *QUICK),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert kit.stdin is not None
    assert kit.stderr is not None
    kit.stdin.write(b"y\ny\ny\n")
    told = [(await kit.stderr.readline()).decode().split() for _ in range(3)]
    session = {name.lower().removeprefix("fhircast_"): value for name, value in told}
    hub = SimpleNamespace(
        hub_url=session["hub_url"], topic=session["hub_topic"], token=session["token"]
    )
    app = PlainSubscriber()
    await app.start(cast("PlayedHub", hub))
    try:
        output, errors = await kit.communicate()
    finally:
        await app.stop()
    assert kit.returncode == 0, (output, errors)
    assert b"Does the application show patient" in errors
    assert b"EVT-10" in output


def test_no_token_is_handed_out_where_none_is_wanted() -> None:
    """SUB-10 is not judged then."""
    echo = "import os; print(os.environ.get('FHIRCAST_TOKEN'))"
    arguments: tuple[Any, ...] = ("--join-timeout", "0.3", "--quiet", "0.1", "--token", "")
    done = judge(*arguments, "--", sys.executable, "-c", echo)
    assert "FHIRCAST_TOKEN" not in done.stderr
