"""A record of what goes over the wire, in order, for the report of a check that fails."""

from __future__ import annotations

import json
import time
from urllib.parse import parse_qsl, urlsplit

import httpx

from fhircast_conformance.results import Exchange

_MAX_TEXT = 4_000
"""Characters of one message that are kept."""

_MAX_EXCHANGES = 400
"""Messages of one check that are kept; a flood is cut, and says so."""

HUB = "hub"


class Trace:
    """Collects exchanges; one for each check."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._exchanges: list[Exchange] = []

    @property
    def exchanges(self) -> tuple[Exchange, ...]:
        """What was recorded."""
        return tuple(self._exchanges)

    def add(self, sender: str, receiver: str, label: str, text: str = "") -> None:
        """Record one message."""
        if len(self._exchanges) == _MAX_EXCHANGES:
            label, text = "…", f"more than {_MAX_EXCHANGES} messages; the rest is not shown"
        elif len(self._exchanges) > _MAX_EXCHANGES:
            return
        if len(text) > _MAX_TEXT:
            text = f"{text[:_MAX_TEXT]}… ({len(text)} characters)"
        at = time.monotonic() - self._began
        self._exchanges.append(Exchange(round(at, 3), sender, receiver, label, text))

    def frame(self, sender: str, receiver: str, data: str | bytes) -> None:
        """Record a WebSocket frame."""
        text = data if isinstance(data, str) else data.decode(errors="replace")
        self.add(sender, receiver, _name_of(text), text)

    def request(self, who: str, request: httpx.Request) -> None:
        """Record an HTTP request: method, path, content type and body; no other header."""
        kind = request.headers.get("content-type", "")
        try:
            body = request.content.decode(errors="replace")
        except httpx.RequestNotRead:
            body = "(streamed)"
        what = " form" if "form-urlencoded" in kind else f" {_name_of(body)}" if body else ""
        path = urlsplit(str(request.url)).path
        shown = "\n".join(f"{k}={v}" for k, v in parse_qsl(body, True)) if "form" in what else body
        head = f"{request.method} {path}\n" + (f"content-type: {kind}\n\n" if kind else "")
        self.add(who, HUB, f"{request.method}{what}", head + shown)

    def response(self, who: str, response: httpx.Response) -> None:
        """Record the answer to a request."""
        kind = response.headers.get("content-type", "")
        text = f"{response.status_code}\ncontent-type: {kind}\n\n{response.text}"
        self.add(HUB, who, str(response.status_code), text)


def _name_of(text: str) -> str:
    """Return what a JSON message is, in a word or two."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return "not JSON"
    if not isinstance(value, dict):
        return "JSON"
    event = value.get("event")
    if isinstance(event, dict):
        return str(event.get("hub.event", "event"))
    if "hub.mode" in value:
        return "denial" if value["hub.mode"] == "denied" else "confirmation"
    if "status" in value:
        return f"ack {value['status']}"
    return "ack" if "id" in value else "JSON"
