"""The socket that the hub listens on, and the addresses it gives out."""

from __future__ import annotations

import socket

import pytest
from fhircast_hub.config import load_settings
from fhircast_hub.web.server import HubServer, bind


def test_whoever_connects_early_waits_for_the_server() -> None:
    """hub.url is printed before the server runs; it must not be refused then."""
    with bind("127.0.0.1", 0) as listening, socket.create_connection(listening.getsockname()):
        pass


def test_frames_do_not_wait_for_each_other() -> None:
    """Nagle's algorithm is off only where the socket names its protocol; 40 ms a frame else."""
    with bind("127.0.0.1", 0) as listening, socket.create_connection(listening.getsockname()):
        accepted, _ = listening.accept()
        with accepted:
            assert accepted.proto == socket.IPPROTO_TCP


def test_a_taken_port_is_an_error() -> None:
    with bind("127.0.0.1", 0) as taken, pytest.raises(OSError, match="in use"):
        bind("127.0.0.1", taken.getsockname()[1])


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ({}, "http://127.0.0.1:99/api/hub"),
        ({"host": "::1", "hub_path": "/fhircast"}, "http://[::1]:99/fhircast"),
        (
            {"public_url": "https://hub.example.org/x", "allow_insecure": "1"},
            "https://hub.example.org/x/api/hub",
        ),
    ],
)
def test_the_hub_knows_its_url(given: dict[str, str], url: str) -> None:
    """hub.url is what clients reach, not what the hub listens on."""
    assert HubServer(load_settings({}, given)).hub_url_at(99) == url
