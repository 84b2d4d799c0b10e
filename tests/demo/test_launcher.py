"""`fhircast demo` as a process: what it prints, what it serves, how it ends."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys

import httpx
import pytest
from demo_process import demo, origin_of, value_of
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect


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
            page = httpx.get(origin_of(printed), follow_redirects=True)
    assert page.status_code == 200
    assert "FHIRcast" in page.text


def test_the_first_sign_in_joins_the_session_that_was_printed() -> None:
    """SMART-03, SEC-01: a client with the printed token meets the pages; later topics are new."""
    with demo("--port", "0") as (_process, printed), httpx.Client() as browser:
        origin = origin_of(printed)
        topics = []
        for user in ("radiologist", "student"):
            browser.post(f"{origin}/login", data={"user": user, "next": "/"})
            topics.append(browser.get(f"{origin}/ehr/session").json()["hub.topic"])
    assert topics[0] == value_of(printed, "hub.topic")
    assert topics[1] != topics[0]


def test_a_service_gets_a_session_with_the_printed_secret() -> None:
    """SMART-03: client_credentials."""
    with demo("--port", "0") as (_process, printed):
        answer = httpx.post(
            f"{origin_of(printed)}/auth/token",
            data={"grant_type": "client_credentials", "topic": "t-1"},
            auth=(value_of(printed, "client_id"), value_of(printed, "client_secret")),
        )
    assert (answer.json()["hub.topic"], answer.json()["topic"]) == ("t-1", "t-1")
    assert answer.json()["hub.url"] == value_of(printed, "hub.url")


def test_a_redirect_uri_of_ones_own_must_be_one() -> None:
    """SMART-05: said at the start."""
    command = [sys.executable, "-m", "fhircast_hub", "demo", "--redirect-uri", "callback"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert "--redirect-uri callback" in ended.stderr
