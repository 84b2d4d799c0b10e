"""`fhircast audit`: check an audit trail, and read it."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fhircast_hub.audit.chain import BrokenLine, Verdict, read_line, verify
from fhircast_hub.audit.events import ACTS

if TYPE_CHECKING:
    from collections.abc import Iterator

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_OUTCOMES = {"0": "ok", "4": "refused", "8": "failed", "12": "failed"}


@click.group()
def audit() -> None:
    """Check and read the audit trail of a hub (FHIRCAST_AUDIT_FILE)."""


@audit.command("verify")
@click.argument("files", nargs=-1, required=True, type=_FILE)
@click.option("--expect-last", metavar="HASH", help="The hash that the last line must have.")
@click.option("--expect-count", metavar="N", type=click.INT, help="Lines that there must be.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def verify_files(
    files: tuple[Path, ...], expect_last: str | None, expect_count: int | None, as_json: bool
) -> None:
    """Check that the lines of FILES are as they were written, and that none is missing.

    Give the rotated files too, in any order: audit.jsonl*. Checked are the hash of each line, the
    sequence, and that each file continues the one before.

    Lines cut off at the end leave no trace in what remains. To notice them, note the hash and the
    count that this prints, somewhere else, and ask for them the next time with --expect-last (the
    trail has not grown) or --expect-count. Who can write the files can also compute a whole new
    trail: there, too, only what was noted elsewhere helps.

    Exit codes: 0 all holds, 1 something is wrong, 2 wrong use.
    """
    verdict = _verdict(files)
    wrong = _wrong(verdict, expect_last, expect_count)
    last = verdict.last.hash if verdict.last else None
    if as_json:
        result = {
            "ok": not wrong,
            "count": verdict.count,
            "last": last,
            "first_seq": verdict.first_seq,
            "incomplete": list(verdict.incomplete),
            "problem": wrong or None,
        }
        click.echo(json.dumps(result))
    else:
        for name in verdict.incomplete:
            click.echo(f"{name}: the last line was never finished; the hub was cut off there")
        if verdict.first_seq:
            click.echo(f"older lines, up to number {verdict.first_seq - 1}, were not looked at")
        click.echo(wrong or "all lines hold")
        click.echo(f"count {verdict.count}" + (f", last {last}" if last else ""))
    if wrong:
        raise click.exceptions.Exit(1)


def _wrong(verdict: Verdict, expect_last: str | None, expect_count: int | None) -> str:
    """Return what is wrong, "" if nothing is."""
    if verdict.broken is not None:
        return f"{verdict.broken.file}, line {verdict.broken.line}: {verdict.broken.reason}"
    last = verdict.last.hash if verdict.last else ""
    if expect_count is not None and verdict.count != expect_count:
        return f"{verdict.count} lines where {expect_count} are expected"
    if expect_last is not None and last != expect_last.lower():
        return "the last line has another hash: lines were cut off, or added"
    return ""


def _verdict(files: tuple[Path, ...]) -> Verdict:
    with ExitStack() as opened:
        try:
            in_order = sorted(set(files), key=_first_seq)
            return verify([(str(it), opened.enter_context(it.open("rb"))) for it in in_order])
        except OSError as error:
            raise click.UsageError(f"{error.filename}: {error.strerror}") from None


def _first_seq(path: Path) -> tuple[int, str]:
    """Return where a file belongs; one whose first line is broken comes first, and is told."""
    with path.open("rb") as file:
        try:
            return read_line(file.readline().removesuffix(b"\n")).after.seq, str(path)
        except BrokenLine:
            return -1, str(path)


@audit.command()
@click.argument("file", type=_FILE)
@click.option("--json", "as_json", is_flag=True, help="Print each AuditEvent as a line of JSON.")
def show(file: Path, as_json: bool) -> None:
    """Show the entries of FILE, one a line: when, how it ended, what, by whom, on what.

    Lines that are none of an audit trail are told on standard error, and the exit code is then 1;
    whether the others are as they were written, and all there, `fhircast audit verify` tells.
    """
    is_whole = True
    for number, event in _events(file):
        if event is None:
            is_whole = False
            click.echo(f"line {number}: not a line of an audit trail, or changed", err=True)
        elif as_json:
            click.echo(json.dumps(event))
        else:
            click.echo(_shown(event))
    if not is_whole:
        raise click.exceptions.Exit(1)


def _events(path: Path) -> Iterator[tuple[int, dict[str, Any] | None]]:
    """Return number and AuditEvent of each entry; None for a line that is broken."""
    with path.open("rb") as file:
        for number, raw in enumerate(file, 1):
            try:
                line = read_line(raw.removesuffix(b"\n"))
            except BrokenLine:
                yield number, None
                continue
            if line.event is not None:
                yield number, line.event


def _shown(event: dict[str, Any]) -> str:
    codes = {it["system"]: it["code"] for it in event["subtype"]}
    entities = event.get("entity", [])
    details = {it["type"]: it["valueString"] for e in entities for it in e.get("detail", [])}
    what = details.get("hub.event") or codes.get(ACTS, "")
    callers = [it for it in event["agent"] if it["type"]["coding"][0]["code"] != "110152"]
    addresses = [
        it["network"]["address"]
        for it in event["agent"]
        if "network" in it and it["network"]["type"] == "2"
    ]
    on_what = [_named(it["what"]) for it in entities if "what" in it]
    columns = [
        event["recorded"],
        f"{_OUTCOMES.get(event['outcome'], '?'):<7}",
        f"{what:<23}",
        "/".join(_named(it["who"]) for it in reversed(callers)) or "hub",
        *addresses,
        *on_what,
        event.get("outcomeDesc", ""),
    ]
    return _printable("  ".join(filter(None, columns)))


def _named(reference: dict[str, Any]) -> str:
    """Return what a Reference names."""
    identifier = reference.get("identifier", {}).get("value", "")
    return str(reference.get("reference") or identifier or reference.get("display", ""))


def _printable(text: str) -> str:
    """Return a text that no terminal obeys: much in it came from outside."""
    return "".join(it if it.isprintable() else f"\\u{ord(it):04x}" for it in text)
