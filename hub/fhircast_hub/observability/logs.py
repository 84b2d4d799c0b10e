"""Logs: one line an event, text or JSON, without patient data, tokens, topics or endpoints."""

from __future__ import annotations

import hashlib
import json
import logging
import sys
from datetime import UTC, datetime
from typing import Literal

_OURS = ("fhircast_hub", "fhircast_subscribers", "fhircast_demo")

_NOTHING = frozenset(
    {
        "ASGI callable returned without completing handshake.",
        "Invalid HTTP request received.",
        "Unsupported upgrade request.",
        "Invalid UTF-8 sequence received from client.",
    }
)


def configure(
    log_format: Literal["text", "json"], level: Literal["debug", "info", "warning"] = "info"
) -> None:
    """Send the logs of the hub and its server to standard error.

    Args:
        log_format: One line of text or one JSON object for each event.
        level: The least of what is told. Libraries speak from warnings on, at every level: what
            they tell below that is what they transport.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonFormatter() if log_format == "json" else _TextFormatter())
    handler.addFilter(may_be_told)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.getLevelNamesMapping()[level.upper()])


def may_be_told(record: logging.LogRecord) -> bool:
    """Tell whether a record may be written: ours, or a warning of a library without its values.

    A library cannot know what is secret here: paths of sockets are, and so is every frame. It is
    held back at the handler, so nothing that sets the levels of loggers can let it through.

    Spec: SEC-03.
    """
    return _is_ours(record) or (record.levelno >= logging.WARNING and says_something(record))


def _is_ours(record: logging.LogRecord) -> bool:
    return record.name.partition(".")[0] in _OURS


def _text_of(record: logging.LogRecord) -> str:
    if _is_ours(record):
        return record.getMessage()
    return str(record.msg).partition("\n")[0]  # asyncio lists reprs of tasks in further lines


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
    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        return f"{at} {record.levelname} {record.name}: {_text_of(record)}{_kind_of_error(record)}"


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": _text_of(record),
        }
        if kind := _kind_of_error(record):
            line["error"] = kind.strip()
        return json.dumps(line)


def _kind_of_error(record: logging.LogRecord) -> str:
    """Return the kind of an error only: its text and its frames may hold anything."""
    if not record.exc_info or record.exc_info[0] is None:
        return ""
    return f" {record.exc_info[0].__name__}"
