"""`fhircast conform`: what it writes, and how it ends."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from click.testing import CliRunner, Result
from fhircast_conformance.cli import conform

if TYPE_CHECKING:
    from hub_server import RunningHub


def read(name: str) -> str:
    return Path(name).read_text(encoding="utf-8")


async def run(*args: str) -> Result:
    return await asyncio.to_thread(CliRunner().invoke, conform, args)


async def test_a_run_ends_with_0_and_writes_every_report(hub: RunningHub, tmp_path: Path) -> None:
    files = {kind: str(tmp_path / f"report.{kind}") for kind in ("json", "junit", "html")}
    written = [word for kind, name in files.items() for word in (f"--{kind}", name)]
    result = await run(hub.url, "--only", "SUB-06", *written)
    assert result.exit_code == 0, result.output
    assert "SUB-06" in result.output
    assert json.loads(read(files["json"]))["conformant"] is True
    assert ET.parse(files["junit"]).getroot().get("tests") == "1"
    assert "SUB-06" in read(files["html"])


async def test_json_to_the_screen_is_nothing_but_json(hub: RunningHub) -> None:
    result = await run(hub.url, "--only", "SUB-06", "--json", "-")
    assert json.loads(result.stdout)["counts"]["passed"] == 1


async def test_rights_cannot_be_judged_without_several_tokens(hub: RunningHub) -> None:
    result = await run(hub.url, "--only", "SCO-03", "-v")
    assert result.exit_code == 0
    assert "give --token-cmd" in result.output


async def test_nothing_at_the_url_is_wrong_use() -> None:
    result = await run("http://127.0.0.1:9/api/hub")
    assert result.exit_code == 2
    assert "no hub answers at http://127.0.0.1:9/api/hub" in result.output


async def test_a_row_that_is_not_there_is_wrong_use(hub: RunningHub) -> None:
    result = await run(hub.url, "--only", "XYZ-99")
    assert result.exit_code == 2
    assert "XYZ-99" in result.output


async def test_checks_can_be_listed_without_a_hub() -> None:
    result = await run("http://127.0.0.1:9/api/hub", "--list")
    assert result.exit_code == 0
    assert "repeated_events_are_confirmed_once" in result.output
