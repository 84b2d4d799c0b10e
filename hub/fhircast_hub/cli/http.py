"""What the verbs that talk to a hub have in common: options, the call, the refusal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click
import httpx

F = TypeVar("F", bound=Callable[..., Any])

_TIMEOUT_SECONDS = 10


def hub_options(command: F) -> F:
    """Give a command --hub and --token."""
    command = click.option(
        "--token",
        envvar="FHIRCAST_TOKEN",
        default="",
        help="Bearer token, if the hub wants one.  [FHIRCAST_TOKEN]",
    )(command)
    return click.option(
        "--hub",
        envvar="FHIRCAST_HUB",
        default="http://127.0.0.1:8080/api/hub",
        show_default=True,
        help="hub.url  [FHIRCAST_HUB]",
    )(command)


def call(method: str, url: str, *, token: str, body: bytes | None = None) -> httpx.Response:
    """Return a hub's answer; a refusal or no answer ends the command with exit code 1."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    if body is not None:
        headers["Content-Type"] = "application/json"
    try:
        answer = httpx.request(method, url, headers=headers, content=body, timeout=_TIMEOUT_SECONDS)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise click.ClickException(f"no answer from {url}: {error}") from None
    if answer.is_error:
        raise click.ClickException(f"the hub says {answer.status_code}: {answer.text.strip()}")
    return answer
