"""The parsers of the subscriber library."""

from __future__ import annotations

import httpx
import msgspec
from fhircast_subscribers.discovery import hub_url_of, read_configuration
from fhircast_subscribers.http import refusal_of
from fhircast_subscribers.launch import read_launch
from fhircast_subscribers.smart import AuthorizationRequest, read_redirect, read_token_answer
from fhircast_subscribers.wire import (
    Notification,
    decode,
    encode,
    read_current_context,
    read_frame,
    selected_in,
    target_of,
    write_answer,
)
from security.fuzz.target import Target, text_of

REQUEST = AuthorizationRequest(
    url="https://as.example/authorize",
    client_id="viewer",
    redirect_uri="https://app.example/back",
    state="kept",
    verifier="v",
)


def read_message(data: bytes) -> object:
    message = read_frame(data)
    if isinstance(message, Notification):
        selected_in(message.items)
        for it in (message.anchor, message.kind, *map(target_of, message.items)):
            assert it is not None
        write_answer(message.id, 200)
    return message


def read_value(data: bytes) -> object:
    value = decode(data)
    assert decode(encode(value)) == value
    return value


def read_context(data: bytes) -> object:
    return read_current_context(data)


def read_discovery(data: bytes) -> object:
    value = decode(data)
    if isinstance(value, dict):
        hub_url_of(value)
    return read_configuration(value)


def read_tokens(data: bytes) -> object:
    value = decode(data)
    return read_token_answer(value) if isinstance(value, dict) else None


def read_back(data: bytes) -> object:
    return read_redirect(text_of(data), REQUEST)


def read_started(data: bytes) -> object:
    launch = read_launch(text_of(data))
    assert read_launch(launch.url("https://app.example/?x=1")) == launch
    return launch


def read_refusal(data: bytes) -> object:
    """The first line is Retry-After, the rest the answer's text."""
    seconds, _, text = data.partition(b"\n")
    headers = [(b"content-type", b"text/plain"), (b"retry-after", seconds)]
    refused = refusal_of(httpx.Response(409, headers=headers, content=text))
    wait = refused.retry_after_seconds
    assert wait is None or 0 <= wait < float("inf")
    return str(refused)


_JSON = (ValueError, msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError)

CLIENT = {
    "client-frame": Target(read_message, seeds=("frame", "event")),
    "client-json": Target(read_value, exact_errors=_JSON, seeds=("event",)),
    "client-context": Target(read_context, exact_errors=_JSON, seeds=("context",)),
    "client-discovery": Target(read_discovery, exact_errors=_JSON, seeds=("discovery",)),
    "client-token-answer": Target(read_tokens, exact_errors=_JSON, seeds=("answer",)),
    "client-redirect": Target(read_back, exact_errors=(ValueError,), seeds=("url",)),
    "client-launch": Target(read_started, exact_errors=(ValueError,), seeds=("url",)),
    "client-refusal": Target(read_refusal, seeds=("refusal",)),
}
"""Every parser of the subscriber library, by name."""
