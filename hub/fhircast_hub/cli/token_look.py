"""`fhircast token inspect` and `check`: what a token says, and whether the hub would believe it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from fhircast_hub.cli.serve import setting_flags
from fhircast_hub.config import SettingError, Settings, load_settings
from fhircast_hub.protocol.errors import FhircastError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fhircast_hub.security.grant import Grant

_ABOUT_TOKENS = (
    "auth",
    "jwt_key",
    "jwks_file",
    "jwks_url",
    "issuers_file",
    "jwt_algorithms",
    "issuer",
    "audience",
    "introspection_url",
    "introspection_client_id",
    "introspection_client_secret",
    "token_leeway_seconds",
    "require_topic",
    "max_token_bytes",
)
_MAX_INPUT = 1_000_000
_MOMENTS = ("exp", "nbf", "iat", "auth_time")


def _token_argument(command: Any) -> Any:
    command = click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)
    return click.argument("token", envvar="FHIRCAST_TOKEN")(command)


@click.command()
@_token_argument
def inspect(token: str, as_json: bool) -> None:
    """Show what TOKEN says, without believing it: no key is looked at.

    TOKEN may be - for standard input, or come from FHIRCAST_TOKEN: the command line of a process
    can be read by others on the same machine.
    """
    from fhircast_hub.security.jws import read_token

    try:
        said = read_token(_text_of(token))
    except FhircastError:
        raise click.ClickException(
            "no signed JSON Web Token; if it is an opaque one, only its issuer can read it"
        ) from None
    if as_json:
        header = {"alg": said.algorithm, "kid": said.key_id}
        click.echo(json.dumps({"verified": False, "header": header, "claims": said.claims}))
        return
    click.echo("NOT VERIFIED: anybody could have written this; see `fhircast token check`\n")
    rows = {"alg": said.algorithm, "kid": said.key_id or "-", **said.claims}
    for name, value in rows.items():
        click.echo(f"  {_printable(name):<10} {_shown(name, value)}")


@click.command()
@_token_argument
@setting_flags(_ABOUT_TOKENS)
def check(token: str, as_json: bool, **flags: str | None) -> None:
    """Tell whether a hub with these settings takes TOKEN, and what it may do; exit code 1 if not.

    Settings come from the environment and from flags, as for `fhircast serve`. TOKEN may be - for
    standard input, or come from FHIRCAST_TOKEN.
    """
    settings = _settings(flags)
    try:
        grant = asyncio.run(_verify(_text_of(token), settings))
    except SettingError as error:
        raise click.UsageError(str(error)) from None
    except FhircastError as refused:
        if as_json:
            said = {"valid": False, "status": refused.status, "reason": refused.reason}
            click.echo(json.dumps(said))
            raise click.exceptions.Exit(1) from None
        raise click.ClickException(f"{refused.status} {refused.reason}") from None
    told = _told(grant)
    if as_json:
        click.echo(json.dumps({"valid": True, **told}))
        return
    click.echo("valid\n")
    for name, value in told.items():
        shown = " ".join(value) if isinstance(value, list) else value
        click.echo(f"  {name:<10} {_printable(str(shown or '-'))}")


async def _verify(text: str, settings: Settings) -> Grant:
    from fhircast_hub.clock import SystemClock
    from fhircast_hub.security.verifiers import verifier_of

    verifier = verifier_of(settings, SystemClock())
    try:
        return await verifier.verify(f"Bearer {text}")
    finally:
        await verifier.close()


def _settings(flags: dict[str, str | None]) -> Settings:
    given = {name: value for name, value in flags.items() if value is not None}
    # Who has a token to check means a hub that wants one.
    if given.get("auth", os.environ.get("FHIRCAST_AUTH", "none")) == "none":
        asks = given.get("introspection_url") or os.environ.get("FHIRCAST_INTROSPECTION_URL")
        given["auth"] = "introspection" if asks else "jwt"
    try:
        return load_settings(os.environ, given)
    except SettingError as error:
        raise click.UsageError(str(error)) from None


def _told(grant: Grant) -> dict[str, Any]:
    until = grant.expires_at.isoformat(timespec="seconds") if grant.expires_at else ""
    return {
        "owner": grant.subject,
        "client": grant.client_name,
        "topic": grant.topic or "any",
        "reads": _names(grant.scopes.read),
        "requests": _names(grant.scopes.write),
        "until": until,
    }


def _names(keys: Iterable[str]) -> list[str]:
    return ["*"] if "*" in keys else sorted(keys)


def _text_of(token: str) -> str:
    text = sys.stdin.read(_MAX_INPUT) if token == "-" else token  # noqa: S105 - no secret
    return text.strip().removeprefix("Bearer ").strip()


def _shown(name: str, value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    if name in _MOMENTS and isinstance(value, int | float):
        try:
            text += f"  {datetime.fromtimestamp(value, UTC):%Y-%m-%d %H:%M:%S} UTC"
        except (ValueError, OverflowError, OSError):
            text += "  beyond all dates"
    return _printable(text)


def _printable(text: str) -> str:
    """Return a text that does nothing to a terminal."""
    return "".join(it if it.isprintable() else "?" for it in text)
