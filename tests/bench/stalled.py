"""One subscriber of a busy topic stops reading: what the others notice, and what becomes of it."""

from __future__ import annotations

import json
import socket
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

from bench.catalogue import HUB, tokens
from bench.figures import quantile
from bench.generator import LoadFailed, loading
from bench.scenario import Scenario, progress
from bench.servers import CannotStart, Server, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

    from bench.figures import Row
    from bench.scenario import Plan

_TOPICS = 200
_EVENTS = 20_000
_EVERY = 4
"""Of how many events one goes to the topic with the stalled subscriber, until nothing fits."""

_DRAIN_SECONDS = 40
_SAMPLE_SECONDS = 0.2


class Stalled:
    """A subscriber that reads its confirmation and nothing more until `drain`."""

    def __init__(self, server: Server, token: str, topic: str) -> None:
        host = f"Host: 127.0.0.1:{server.port}\r\n"
        path = urlsplit(_subscribed(server, token, topic)).path
        self._socket = socket.socket()
        # What the kernel would keep for it counts as read; the less, the sooner the hub notices.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._socket.connect(("127.0.0.1", server.port))
        self._socket.sendall(
            f"GET {path} HTTP/1.1\r\n{host}Connection: Upgrade\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        came = b""
        while b"hub.mode" not in came:
            came += self._socket.recv(4096)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def drain(self) -> tuple[bool, bool]:
        """Read what is there; return whether a denial came, and whether the connection ended."""
        self._socket.settimeout(_DRAIN_SECONDS)
        tail = b""
        try:
            while chunk := self._socket.recv(1 << 20):
                tail = (tail + chunk)[-4096:]
        except ConnectionResetError:
            pass
        except TimeoutError:
            return b"denied" in tail, False
        return b"denied" in tail, True


def _subscribed(server: Server, token: str, topic: str) -> str:
    """Subscribe to the events that the generator posts; return the endpoint."""
    form = urlencode(
        {
            "hub.channel.type": "websocket",
            "hub.mode": "subscribe",
            "hub.topic": topic,
            "hub.events": "Patient-open,Patient-close,SyncError",
            "subscriber.name": "stalled",
        }
    )
    with socket.create_connection(("127.0.0.1", server.port)) as asking:
        asking.sendall(
            f"POST {server.kind.hub_path} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
            f"Authorization: Bearer {token}\r\nConnection: close\r\n"
            "Content-Type: application/x-www-form-urlencoded\r\n"
            f"Content-Length: {len(form)}\r\n\r\n{form}".encode()
        )
        answer = b"".join(iter(lambda: asking.recv(65536), b""))
    endpoint: str = json.loads(answer.partition(b"\r\n\r\n")[2])["hub.channel.endpoint"]
    return endpoint


class _Memory:
    """Looks at a server's memory while something else goes on."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self.most_kib = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(_SAMPLE_SECONDS):
            self.most_kib = max(self.most_kib, self._server.memory_kib()["rss"])


def _measure(plan: Plan) -> Iterator[Row]:
    for number in range(1, plan.rounds + 1):
        for way in ("without", "with"):
            row: Row = {"server": way, "round": number}
            try:
                row |= _run(plan.scaled(_EVENTS, least=_EVENTS), stalls=way == "with")
            except (CannotStart, LoadFailed) as error:
                row["failed"] = str(error)
            progress(f"stalled {number}/{plan.rounds} {way}: {_said(row)}")
            yield row


def _run(events: int, *, stalls: bool) -> Row:
    held = tokens(_TOPICS)
    options = {"topics": _TOPICS, "publishers": 32, "events": events, "warm": events // 10}
    with ExitStack() as open_:
        server = open_.enter_context(running(HUB))
        load = open_.enter_context(loading(server, held, joiners=16, hot=_EVERY, **options))
        stalled = open_.enter_context(Stalled(server, held[0], "t00000")) if stalls else None
        before = server.memory_kib()["rss"]
        with _Memory(server) as memory:
            load.go()
            figures = load.figures()
        row: Row = {
            "p99_us": quantile(figures["last_us"], 0.99),
            "same_topic_p99_us": quantile(figures["last_first_topic_us"], 0.99),
            "other_topics_p99_us": quantile(figures["last_other_topics_us"], 0.99),
            "events_per_second": figures["events_per_second"],
            "missing": figures["missing"],
            "closed": figures["closed"],
            "sync_errors": figures["sync_errors"],
            "rss_kib_before": before,
            "rss_kib_most": memory.most_kib,
        }
        if stalled is not None:
            row["was_denied"], row["was_ended"] = stalled.drain()
    return row


def _said(row: Row) -> str:
    if "failed" in row:
        return f"failed: {row['failed']}"
    said = f"p99 {row['p99_us'] / 1000:.1f} ms, RSS {row['rss_kib_before']} to"
    said += f" {row['rss_kib_most']} KiB, SyncErrors {row['sync_errors']}"
    return said + (f", ended {row['was_ended']}" if "was_ended" in row else "")


SCENARIOS = (
    Scenario(
        "stalled",
        "as S2, every fourth event to one topic with a fifth subscriber that never reads",
        _measure,
    ),
)
