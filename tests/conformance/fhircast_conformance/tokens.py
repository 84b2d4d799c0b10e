"""Where bearer tokens come from: none, one that is given, or a command that makes them."""

from __future__ import annotations

import asyncio
import shlex
from typing import Protocol

from fhircast_conformance.check import Blocked, NotApplicable

_COMMAND_SECONDS = 20.0


class Tokens(Protocol):
    """Gives tokens."""

    async def get(self, *, scope: str, topic: str, seconds: int, subject: str) -> str:
        """Return a token with these rights, "" if the hub wants none.

        Args:
            scope: FHIRcast scopes, space separated.
            topic: Topic to which it is bound, "" for none.
            seconds: Its life.
            subject: Who holds it, "" for the kit itself.

        Raises:
            NotApplicable: No such token can be had.
            Blocked: The command that makes tokens failed.
        """
        ...


class OneToken:
    """One token for everything, or none; rows about other rights cannot be judged with it."""

    def __init__(self, token: str = "") -> None:
        self._token = token

    async def get(self, *, scope: str, topic: str, seconds: int, subject: str) -> str:
        """Return the token, for the usual rights."""
        if scope != "fhircast/*.*" or topic or seconds != 3600 or subject:
            raise NotApplicable("needs tokens of several rights: give --token-cmd")
        return _sendable(self._token, "--token")


class TokenCommand:
    """A command line that prints a token; each set of rights is asked for once.

    Args:
        template: With {scope}, {topic}, {seconds} and {subject}, replaced after splitting.

    Raises:
        ValueError: It cannot be split into words.
    """

    def __init__(self, template: str) -> None:
        try:
            self._words = shlex.split(template)
        except ValueError as error:
            raise ValueError(f"--token-cmd: {error}") from None
        self._tokens: dict[tuple[str, ...], asyncio.Task[str]] = {}

    async def get(self, *, scope: str, topic: str, seconds: int, subject: str) -> str:
        """Return the token, from the command."""
        values = {
            "scope": scope,
            "topic": topic,
            "seconds": str(seconds),
            "subject": subject or "conformance-kit",
        }
        if seconds < 600:  # A short life counts from now, so this one is not shared.
            return await self._run(values)
        key = tuple(values.values())
        if key not in self._tokens:
            self._tokens[key] = asyncio.create_task(self._run(values))
        return await self._tokens[key]

    async def _run(self, values: dict[str, str]) -> str:
        words = [_filled(word, values) for word in self._words]
        try:
            process = await asyncio.create_subprocess_exec(
                *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
            )
        except OSError as error:
            raise Blocked(f"the token command cannot be run: {error.strerror}") from None
        try:
            async with asyncio.timeout(_COMMAND_SECONDS):
                out, _ = await process.communicate()
        except TimeoutError:
            process.kill()
            await process.wait()
            raise Blocked("the token command did not end in time") from None
        if process.returncode != 0:
            raise Blocked(f"the token command ended with {process.returncode}")
        return _sendable(out.decode(errors="replace").strip(), "what the token command printed")


def _filled(word: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        word = word.replace(f"{{{name}}}", value)
    return word


def is_bearer(token: str) -> bool:
    """Whether a token fits into the header: one word in ASCII, or nothing."""
    return token.isascii() and token.isprintable() and " " not in token


def _sendable(token: str, what: str) -> str:
    """Return a token that fits into a header; the token itself is told to nobody.

    Raises:
        Blocked: It does not fit.
    """
    if is_bearer(token):
        return token
    raise Blocked(f"{what} is no bearer token: one word in ASCII is wanted")
