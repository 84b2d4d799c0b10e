"""`fhircast audit`: what it says about files, and how it ends."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from builders import NOON, TOPIC
from click.testing import CliRunner, Result
from fhircast_hub.audit.events import audit_event
from fhircast_hub.audit.facts import Act, Caller, Fact, Origin, Outcome
from fhircast_hub.audit.jsonl import JsonlFile
from fhircast_hub.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path

HUB = Origin("https://hub.example/api/hub", "hub.example", "fhircast-hub 1")


def audit(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["audit", *map(str, arguments)])


@pytest.fixture
def trail(audit_file: Path) -> list[Path]:
    """A trail of several files, the newest last; the last entry holds a terminal's command."""
    file = JsonlFile(audit_file, max_bytes=3000, keep=0, now=lambda: NOON)
    caller = Caller("dr-1", "viewer", "192.0.2.7")
    for number in range(8):
        opened = Fact(
            Act.OPEN,
            NOON,
            caller,
            topic=TOPIC,
            event="Patient-open",
            event_id=f"e-{number}",
            patient="Patient/pt-1",
        )
        file.append([audit_event(opened, HUB)])
    refused = Fact(
        Act.READ, NOON, caller, Outcome(404, "no \x1b[2Jsession"), topic=TOPIC, query="q"
    )
    file.append([audit_event(refused, HUB)])
    file.close()
    return [*sorted(audit_file.parent.glob("audit.jsonl.*")), audit_file]


def test_a_whole_trail_holds(trail: list[Path]) -> None:
    """In any order; count and last hash are there to be noted."""
    assert len(trail) > 2
    done = audit("verify", *reversed(trail))
    assert done.exit_code == 0
    assert done.output.startswith("all lines hold\ncount ")
    assert ", last " in done.output


def test_the_result_as_json(trail: list[Path]) -> None:
    result = json.loads(audit("verify", "--json", *trail).output)
    assert result["ok"]
    assert result["count"] == 9 + len(trail)
    last, count = result["last"], result["count"]
    assert audit("verify", "--expect-last", last, *trail).exit_code == 0
    assert audit("verify", "--expect-count", count, *trail).exit_code == 0


def test_the_first_broken_line_is_named(trail: list[Path]) -> None:
    path = trail[1]
    path.write_bytes(path.read_bytes().replace(b"Patient/pt-1", b"Patient/pt-2"))
    done = audit("verify", *trail)
    assert done.exit_code == 1
    assert f"{path}, line 2: changed: its hash does not fit" in done.output


def test_a_missing_file_is_named(trail: list[Path]) -> None:
    done = audit("verify", trail[0], *trail[2:])
    assert done.exit_code == 1
    assert f"{trail[2]}, line 1: out of sequence" in done.output


def test_older_files_that_are_not_there_are_a_remark(trail: list[Path]) -> None:
    done = audit("verify", *trail[1:])
    assert done.exit_code == 0
    assert "were not looked at" in done.output


def test_a_cut_end_shows_by_what_was_noted_only(trail: list[Path]) -> None:
    """Without count or hash nothing can tell; the help says so."""
    noted = json.loads(audit("verify", "--json", *trail).output)
    lines = trail[-1].read_bytes().splitlines(keepends=True)
    trail[-1].write_bytes(b"".join(lines[:-1]))
    assert audit("verify", *trail).exit_code == 0
    for arguments in (("--expect-last", noted["last"]), ("--expect-count", noted["count"])):
        assert audit("verify", *arguments, *trail).exit_code == 1
    assert "--expect-last" in audit("verify", "--help").output


@pytest.mark.parametrize("arguments", [("verify",), ("verify", "no-such-file"), ("show",)])
def test_wrong_use_is_exit_2(arguments: tuple[str, ...]) -> None:
    assert audit(*arguments).exit_code == 2


def test_entries_are_shown_one_a_line(trail: list[Path]) -> None:
    """When, how it ended, what, by whom, on what."""
    done = audit("show", trail[0])
    assert done.exit_code == 0
    line = done.output.splitlines()[0]
    shown = ("2026-03-02T12:00:00.000Z", "ok", "Patient-open", "dr-1/viewer", "192.0.2.7")
    assert [it for it in (*shown, "Patient/pt-1", "e-0", TOPIC) if it not in line] == []


def test_no_terminal_obeys_what_is_shown(trail: list[Path]) -> None:
    line = audit("show", trail[-1]).output.splitlines()[-1]
    assert "refused" in line
    assert "404 no \\u001b[2Jsession" in line


def test_entries_are_shown_as_json(trail: list[Path]) -> None:
    lines = audit("show", "--json", trail[0]).output.splitlines()
    assert {json.loads(it)["resourceType"] for it in lines} == {"AuditEvent"}


def test_a_broken_line_is_told_and_the_others_are_shown(trail: list[Path]) -> None:
    lines = trail[0].read_bytes().splitlines(keepends=True)
    trail[0].write_bytes(b"".join([lines[0], b"{}\n", *lines[2:]]))
    done = audit("show", trail[0])
    assert done.exit_code == 1
    assert "line 2: not a line of an audit trail" in done.stderr
    assert len(done.stdout.splitlines()) == len(lines) - 2
