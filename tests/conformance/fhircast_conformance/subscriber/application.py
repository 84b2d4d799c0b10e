"""The application under test: how it is started and stopped, and who works at it."""

from __future__ import annotations

import asyncio
import os
import shlex
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fhircast_conformance.subscriber.played import PlayedHub

ACTIONS = {
    "open": "open a case that is not open yet, so that everybody follows",
    "close": "close the current context for everybody",
    "update": "share content in the current context, e.g. a measurement or a new status",
    "select": "select a shared resource of the current context, e.g. a measurement",
    "hold": "make it unable to follow a context change, e.g. leave dictated text unsaved",
    "release": "make it able to follow again, e.g. save or discard the text",
    "logout": "log the user out",
    "hibernate": "let the user hibernate, e.g. lock the workstation",
}
"""What a user does at the application, by the name that a driver command is called with."""


class Application(Protocol):
    """An application that can be started, stopped and worked at.

    Attributes:
        name: For the report.
        starts_by_itself: Whether `start` needs no human.
    """

    name: str
    starts_by_itself: bool

    async def start(self, hub: PlayedHub) -> None:
        """Begin; it is waited for elsewhere that it subscribes."""
        ...

    async def stop(self) -> bool:
        """End it as a user does; return False if that cannot be done."""
        ...

    async def act(self, action: str) -> bool:
        """Do one of `ACTIONS` at it; return False if that cannot be done."""
        ...

    async def shows(self, anchor: str, words: str) -> bool | None:
        """Whether it shows this context; None if that cannot be told."""
        ...


class Hands(Protocol):
    """Whoever works at the application."""

    async def act(self, action: str) -> bool:
        """See `Application.act`."""
        ...

    async def shows(self, anchor: str, words: str) -> bool | None:
        """See `Application.shows`."""
        ...


class NoHands:
    """Nobody works at the application."""

    async def act(self, action: str) -> bool:
        """Nothing can be done."""
        return False

    async def shows(self, anchor: str, words: str) -> bool | None:
        """Nobody looks."""
        return None


class Operator:
    """A person at the terminal, who is asked."""

    async def act(self, action: str) -> bool:
        """Ask for the action."""
        wish = f"\n  At the application: {ACTIONS[action]}.\n  Can it do that"
        return await confirmed(wish)

    async def shows(self, anchor: str, words: str) -> bool | None:
        """Ask what is on the screen."""
        question = f"\n  Does the application show {words}"
        return await confirmed(question)


async def confirmed(question: str) -> bool:
    """Ask at the terminal, while the hub goes on; no answer is a no.

    The thread is a daemon: an interrupted program does not wait for the answer.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[bool] = loop.create_future()

    def ask() -> None:
        try:
            said = click.confirm(question, default=True, err=True)
        except (click.Abort, EOFError):
            said = False
        with suppress(RuntimeError):  # the loop is gone: nobody waits any more
            loop.call_soon_threadsafe(tell, said)

    def tell(said: bool) -> None:
        if not answer.done():
            answer.set_result(said)

    threading.Thread(target=ask, daemon=True).start()
    return await answer


class Driver:
    """A command that works at the application.

    It is called with the name of the action, or with `shown`: then it prints the anchor of the
    context on the screen ("DiagnosticReport/…"), or nothing. Exit code 0: done; any other: it
    cannot.
    """

    def __init__(self, command: str, environment: dict[str, str], *, within: float = 30.0) -> None:
        self._command = shlex.split(command)
        self._environment = environment
        self._within = within

    async def act(self, action: str) -> bool:
        """Call the command with the action."""
        return await self._call(action) is not None

    async def shows(self, anchor: str, words: str) -> bool | None:
        """Call the command with `shown`."""
        printed = await self._call("shown")
        return None if printed is None else printed == anchor

    async def _call(self, action: str) -> str | None:
        process = await asyncio.create_subprocess_exec(
            *self._command,
            action,
            stdout=asyncio.subprocess.PIPE,
            stdin=asyncio.subprocess.DEVNULL,
            env={**os.environ, **self._environment},
        )
        try:
            async with asyncio.timeout(self._within):
                printed, _ = await process.communicate()
        except TimeoutError:
            process.kill()
            await process.wait()
            return None
        return printed.decode(errors="replace").strip() if process.returncode == 0 else None


class Command:
    """An application that a command runs; SIGTERM is its normal shutdown.

    Args:
        command: Program and arguments; it learns the session from its environment.
        hands: Who works at it.
        output: File that takes what it prints, "" for none.

    Attributes:
        ended_with: Exit code of the last run that ended before it was asked to, None if none did.
    """

    starts_by_itself = True

    def __init__(
        self, command: Sequence[str], hands: Hands, *, output: str = "", within: float = 15.0
    ) -> None:
        self.name = os.path.basename(command[0])
        self._command = list(command)
        self._hands = hands
        self._output = output
        self._within = within
        self._process: asyncio.subprocess.Process | None = None
        self.ended_with: int | None = None

    async def start(self, hub: PlayedHub) -> None:
        """Run the command anew."""
        await self.stop()
        with open(self._output or os.devnull, "ab") as output:  # noqa: ASYNC230 - opened, not read
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdout=output,
                stderr=output,
                stdin=asyncio.subprocess.DEVNULL,
                env={**os.environ, **environment_of(hub)},
            )

    async def stop(self) -> bool:
        """Send SIGTERM and wait; what does not end is killed."""
        process, self._process = self._process, None
        if process is None:
            return False
        if process.returncode is not None:
            self.ended_with = process.returncode
            return False
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(self._within):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
        return True

    async def act(self, action: str) -> bool:
        """Let the hands do it."""
        return await self._hands.act(action)

    async def shows(self, anchor: str, words: str) -> bool | None:
        """Let the hands look."""
        return await self._hands.shows(anchor, words)


class ByHand:
    """An application that somebody else starts and stops.

    Args:
        hands: Who works at it.
        is_attended: Whether somebody at the terminal can be asked to stop it.
    """

    starts_by_itself = False

    def __init__(self, hands: Hands, *, is_attended: bool) -> None:
        self.name = "an application started by hand"
        self._hands = hands
        self._is_attended = is_attended

    async def start(self, hub: PlayedHub) -> None:
        """Say what to do; the wait for the subscription follows."""
        click.echo("\n  Start the application, or let it subscribe (again), now.", err=True)

    async def stop(self) -> bool:
        """Ask for a normal shutdown."""
        if not self._is_attended:
            return False
        wish = "\n  End the application as a user does (not by a kill). Can it be ended"
        return await confirmed(wish)

    async def act(self, action: str) -> bool:
        """Let the hands do it."""
        return await self._hands.act(action)

    async def shows(self, anchor: str, words: str) -> bool | None:
        """Let the hands look."""
        return await self._hands.shows(anchor, words)


def environment_of(hub: PlayedHub) -> dict[str, str]:
    """Return how a program learns where the session is."""
    named = {"FHIRCAST_HUB_URL": hub.hub_url, "FHIRCAST_HUB_TOPIC": hub.topic}
    return named | ({"FHIRCAST_TOKEN": hub.token} if hub.token else {})
