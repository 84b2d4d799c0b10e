"""What the parts of the backend ask of the store, be it one server or a cluster of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from fhircast_hub.backends.redis.place import Place
    from fhircast_hub.backends.redis.scripts import Script


class Asking(Protocol):
    """Asks, and gets answers; see `commands.Commands`."""

    @property
    def epoch(self) -> int:
        """Counts breaks: what was learned before one does not hold after it."""
        ...

    @property
    def is_up(self) -> bool:
        """Whether commands are answered."""
        ...

    def reaches(self, key: str) -> bool:
        """Tell whether commands about a key are answered."""
        ...

    async def run(self) -> None:
        """Serve until cancelled."""
        ...

    async def run_script(
        self, script: Script, *arguments: bytes | str | int, epoch: int | None = None
    ) -> Any:
        """Run a script with its keys, all of one slot, and its arguments."""
        ...

    async def ask(self, *command: bytes | str | int, epoch: int | None = None) -> Any:
        """Send a command, whose first argument is its key, and return the answer."""
        ...


class Listening(Protocol):
    """Hears what is published; see `hearing.Hearing`."""

    @property
    def is_up(self) -> bool:
        """Whether all that is published for the followed topics is heard."""
        ...

    async def run(self) -> None:
        """Serve until cancelled."""
        ...

    async def follow(self, topic: str) -> None:
        """Hear all that is published for a topic from now on."""
        ...

    def place_of(self, topic: str) -> Place | None:
        """Return where this process is in what a topic publishes, None if it does not follow it."""
        ...

    def leave_unused(self) -> None:
        """Follow no more what nobody here has needed for a while."""
        ...

    async def catch_up(self) -> None:
        """Return when all is heard that was published before."""
        ...
