"""`fhircast demo` as a process: what it prints, what it serves, how it ends."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def demo(*flags: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run the demo; yield the process and what it printed up to its last line."""
    command = [sys.executable, "-u", "-m", "fhircast_hub", "demo", "--hub-port", "0", *flags]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    printed = ""
    for line in iter(process.stdout.readline, ""):
        printed += line
        if "Ctrl-C" in line:
            break
    try:
        yield process, printed
    finally:
        process.kill()
        process.communicate()


def value_of(printed: str, name: str) -> str:
    found = re.search(rf"^  {re.escape(name)} +(\S+)$", printed, re.MULTILINE)
    assert found, name
    return found[1]


def origin_of(printed: str) -> str:
    found = re.search(r"http://127\.0\.0\.1:\d+", printed)
    assert found
    return found[0]


def test_a_client_of_ones_own_joins_with_what_is_printed_and_is_told_the_end() -> None:
    """Guarantee 5: the printed hub URL, topic and token work; Ctrl-C brings a denial, then 1001."""
    with demo("--port", "0") as (process, printed):
        form = {
            "hub.channel.type": "websocket",
            "hub.mode": "subscribe",
            "hub.topic": value_of(printed, "hub.topic"),
            "hub.events": "Patient-open",
        }
        token = {"Authorization": f"Bearer {value_of(printed, 'token')}"}
        answer = httpx.post(value_of(printed, "hub.url"), data=form, headers=token)
        with connect(answer.json()["hub.channel.endpoint"]) as websocket:
            assert json.loads(websocket.recv(timeout=10))["hub.mode"] == "subscribe"
            process.send_signal(signal.SIGINT)
            assert json.loads(websocket.recv(timeout=10))["hub.mode"] == "denied"
            with pytest.raises(ConnectionClosed) as closed:
                websocket.recv(timeout=10)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1001
        assert process.wait(timeout=15) == 0


def test_a_taken_port_is_said_and_another_one_is_used() -> None:
    """The demo never fails for a port."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with demo("--port", str(port)) as (_process, printed):
            assert f"port {port} is taken" in printed
            page = httpx.get(origin_of(printed))
    assert page.status_code == 200
    assert "FHIRcast" in page.text


@pytest.mark.parametrize(
    ("path", "status"),
    [("/launch", 200), ("/launch/viewer", 200), ("/launch/nothing", 404), ("/viewer", 200)],
)
def test_launch_values_are_handed_out(path: str, status: int) -> None:
    """SMART-03: hub.url and hub.topic for each application; an unknown one is refused."""
    with demo("--port", "0") as (_process, printed):
        answer = httpx.get(origin_of(printed) + path)
    assert answer.status_code == status
    if "json" in answer.headers["content-type"]:
        assert answer.json()["hub.topic"] == value_of(printed, "hub.topic")
