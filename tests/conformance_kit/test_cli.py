"""`fhircast conform`: what it writes, and how it ends."""

from __future__ import annotations

import asyncio
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner, Result
from fhircast_conformance.cli import conform

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hub_server import RunningHub, StartHub

NOWHERE = "http://127.0.0.1:9/api/hub"


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


async def test_a_hub_of_several_processes_may_resume_as_one_process_does(
    start_hub: StartHub,
) -> None:
    hub = await start_hub(reconnect_grace_seconds="1")
    options = ("--grace", "1", "--silence", "0.3", "--balanced")
    result = await run(hub.url, "--only", "lost_connection_resumes", *options)
    assert result.exit_code == 0, result.output
    assert "1 passed" in result.output


async def test_nothing_at_the_url_is_wrong_use() -> None:
    result = await run("http://127.0.0.1:9/api/hub")
    assert result.exit_code == 2
    assert "no hub answers at http://127.0.0.1:9/api/hub" in result.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nonsense"], "nonsense is no hub.url"),
        (["ws://127.0.0.1/hub"], "ws://127.0.0.1/hub is no hub.url"),
        (["http://[::1/hub"], "is no hub.url"),
        (["http://127.0.0.1:99999/hub"], "is no hub.url"),
        ([], "give the URL of the hub"),
        ([NOWHERE, "--token", "one two"], "--token is no bearer token"),
        ([NOWHERE, "--token", "a", "--token-cmd", "b"], "only one of them"),
        ([NOWHERE, "--token-cmd", "echo 'a"], "--token-cmd: No closing quotation"),
        ([NOWHERE, "--ack-timeout", "-1"], "--ack-timeout"),
        ([NOWHERE, "--json", "-", "--junit", "-"], "each needs a file of its own"),
        ([NOWHERE, "--html", "/no/such/folder/x.html"], "its folder does not exist"),
        ([NOWHERE, "--ca", __file__], "holds no PEM certificate"),
    ],
)
async def test_wrong_use_is_told_in_a_line_before_anything_is_judged(
    words: list[str], said: str
) -> None:
    result = await run(*words)
    assert result.exit_code == 2
    assert said in result.output


async def test_a_token_command_that_is_not_there_is_wrong_use(hub: RunningHub) -> None:
    result = await run(hub.url, "--token-cmd", "/no/such/program {scope}")
    assert result.exit_code == 2
    assert "the token command cannot be run" in result.output


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((200, "text/html", "<p>Welcome</p>"), "is this its hub.url?"),
        ((404, "text/plain", "Not Found"), "(Not Found): is this its hub.url?"),
        ((405, "text/html", "<p>no</p>"), "is this its hub.url?"),
        ((401, "text/plain", ""), "give a token for fhircast/*.*"),
        ((302, "text/plain", ""), "give the URL that it leads to, https://hub.test/hub"),
        ((500, "text/plain", "Oops"), "500 (Oops); without joining"),
    ],
)
async def test_what_lets_nobody_subscribe_is_no_hub(
    answer: tuple[int, str, str], said: str
) -> None:
    """One line with what to do, instead of every row undecided."""
    with served(*answer) as url:
        result = await run(url)
    assert result.exit_code == 2
    assert said in result.output


@contextmanager
def served(status: int, kind: str, body: str) -> Iterator[str]:
    """Serve one answer to everything."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            if status == 302:
                self.send_header("location", "https://hub.test/hub")
            self.end_headers()
            self.wfile.write(body.encode())

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/hub"
        finally:
            server.shutdown()
            thread.join()


async def test_a_row_that_is_not_there_is_wrong_use(hub: RunningHub) -> None:
    result = await run(hub.url, "--only", "XYZ-99")
    assert result.exit_code == 2
    assert "XYZ-99" in result.output


async def test_checks_can_be_listed_without_a_hub() -> None:
    result = await run("--list")
    assert result.exit_code == 0
    assert "repeated_events_are_confirmed_once" in result.output
