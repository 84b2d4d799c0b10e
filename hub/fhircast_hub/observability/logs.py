"""Logs: one line an event, text or JSON, without patient data, tokens, topics or endpoints."""

from __future__ import annotations

import hashlib
import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, Literal

_NOTHING = frozenset(
    {
        "ASGI callable returned without completing handshake.",
        "Invalid HTTP request received.",
        "Unsupported upgrade request.",
        "Invalid UTF-8 sequence received from client.",
    }
)


def configure(log_format: Literal["text", "json"]) -> None:
    """Send the logs of the hub and its server to standard error in this format."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonFormatter() if log_format == "json" else _TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    for chatty in ("uvicorn.access", "httpx", "websockets"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    # A refused upgrade would be logged with its path, and the path of a socket is a secret.
    server = logging.getLogger("uvicorn.error")
    server.setLevel(logging.WARNING)
    server.addFilter(says_something)


def topic_label(topic: str) -> str:
    """Return what stands for a topic in a log: enough to compare, of no use to join (SEC-03)."""
    return hashlib.sha256(topic.encode()).hexdigest()[:8]


def says_something(record: logging.LogRecord) -> bool:
    """Pass over what the server says of every request or upgrade that was answered with 4xx.

    Of an upgrade it thinks that the handshake was never completed. Whoever guesses endpoints, or
    sends what is no HTTP, could fill the log with it.
    """
    return record.msg not in _NOTHING


class _TextFormatter(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s", "%H:%M:%S")

    def formatException(self, ei: Any) -> str:  # noqa: N802 - the name is logging's
        """Return the kind of an error only: its text and its frames may hold anything."""
        return str(ei[0].__name__)


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info and record.exc_info[0] is not None:
            line["error"] = record.exc_info[0].__name__  # the text of an error may hold anything
        return json.dumps(line)
