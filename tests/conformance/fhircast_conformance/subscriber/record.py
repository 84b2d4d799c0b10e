"""What an application did, in order, as the played hub saw it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import parse_qsl

if TYPE_CHECKING:
    from collections.abc import Callable

Json = dict[str, Any]

FORM = "application/x-www-form-urlencoded"


@dataclass(slots=True)
class Form:
    """A subscribe or unsubscribe request.

    Attributes:
        at: Seconds of the loop's clock.
        pairs: The fields as they came, repeats included.
        content_type: Media type, without parameters.
        authorization: The header, "" if there was none.
        at_hub_url: Whether it was posted to hub.url itself.
        status: Answered, None as long as there is no answer.
    """

    at: float
    pairs: list[tuple[str, str]]
    content_type: str = FORM
    authorization: str = ""
    at_hub_url: bool = True
    status: int | None = None

    def get(self, field_name: str) -> str:
        """Return the first value of a field, "" if it is missing."""
        return next((value for key, value in self.pairs if key == field_name), "")

    @property
    def mode(self) -> str:
        """`hub.mode`."""
        return self.get("hub.mode")

    @property
    def is_subscribe(self) -> bool:
        """Whether it asks for a subscription; anything but an unsubscribe is meant as one."""
        return self.mode != "unsubscribe"

    @property
    def endpoint(self) -> str:
        """`hub.channel.endpoint`."""
        return self.get("hub.channel.endpoint")

    @property
    def events(self) -> tuple[str, ...]:
        """`hub.events` as a list."""
        return tuple(it.strip() for it in self.get("hub.events").split(",") if it.strip())


@dataclass(slots=True)
class Post:
    """A context change request.

    Attributes:
        at: Seconds of the loop's clock.
        message: The body, {} if it is no JSON object.
        content_type: Media type, without parameters.
        authorization: The header, "" if there was none.
        status: Answered, None as long as there is no answer.
    """

    at: float
    message: Json
    content_type: str = "application/json"
    authorization: str = ""
    status: int | None = None

    @property
    def id(self) -> str:
        """The event's id, "" if it has none."""
        return str(self.message.get("id", ""))

    @property
    def event(self) -> Json:
        """The event object, {} if there is none."""
        event = self.message.get("event")
        return event if isinstance(event, dict) else {}

    @property
    def name(self) -> str:
        """`hub.event`."""
        return str(self.event.get("hub.event", ""))

    def is_a(self, suffix: str) -> bool:
        """Whether the name ends so, in any case."""
        return self.name.lower().endswith(suffix.lower())


@dataclass(frozen=True, slots=True)
class Read:
    """A GET: "context", "well-known" or "shared"."""

    at: float
    what: str


@dataclass(frozen=True, slots=True)
class Connected:
    """A WebSocket was opened; `is_valid` if its endpoint belonged to a subscription."""

    at: float
    endpoint: str
    is_valid: bool


@dataclass(frozen=True, slots=True)
class Closed:
    """A WebSocket ended.

    Attributes:
        at: Seconds of the loop's clock.
        endpoint: Its URL.
        code: Close code that the application sent, 1006 if it sent none.
        by_application: Whether it closed first.
    """

    at: float
    endpoint: str
    code: int
    by_application: bool


@dataclass(frozen=True, slots=True)
class Stray:
    """A frame that answers nothing that was sent; `message` is None if it is no JSON object."""

    at: float
    message: Json | None


Act: TypeAlias = Form | Post | Read | Connected | Closed | Stray


@dataclass(slots=True)
class Record:
    """Everything that was done, in order; who waits for something is woken by every act.

    Attributes:
        acts: In order; forgotten from the front beyond `max_acts`.
        watchers: Told every act when it comes in.
    """

    acts: list[Act] = field(default_factory=list)
    watchers: list[Callable[[Act], None]] = field(default_factory=list)
    max_acts: int = 20_000
    _pulse: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, act: Act) -> None:
        """Record an act."""
        self.acts.append(act)
        if len(self.acts) > self.max_acts:
            del self.acts[: self.max_acts // 2]
        for watcher in self.watchers:
            watcher(act)
        self.pulse()

    def pulse(self) -> None:
        """Let everybody who waits look again."""
        self._pulse.set()
        self._pulse = asyncio.Event()

    async def until(self, condition: Callable[[], object], within: float) -> bool:
        """Wait until something holds; return whether it does."""
        try:
            async with asyncio.timeout(within):
                while not condition():
                    await self._pulse.wait()
        except TimeoutError:
            return bool(condition())
        return True

    def forms(self, since: float = 0.0) -> list[Form]:
        """Return the forms since a time."""
        return [it for it in self.acts if isinstance(it, Form) and it.at >= since]

    def posts(self, since: float = 0.0, suffix: str = "") -> list[Post]:
        """Return the requests since a time whose event name ends so."""
        acts = [it for it in self.acts if isinstance(it, Post)]
        return [it for it in acts if it.at >= since and it.is_a(suffix)]

    def reads(self, what: str, since: float = 0.0) -> list[Read]:
        """Return the GETs of a kind since a time."""
        acts = [it for it in self.acts if isinstance(it, Read)]
        return [it for it in acts if it.at >= since and it.what == what]

    def connects(self, since: float = 0.0) -> list[Connected]:
        """Return the WebSockets that were opened since a time."""
        return [it for it in self.acts if isinstance(it, Connected) and it.at >= since]

    def closes(self, since: float = 0.0) -> list[Closed]:
        """Return the WebSockets that ended since a time."""
        return [it for it in self.acts if isinstance(it, Closed) and it.at >= since]


def read_form(body: bytes) -> list[tuple[str, str]]:
    """Return the fields of a form, repeats and empty ones included."""
    return parse_qsl(body.decode(errors="replace"), keep_blank_values=True)
