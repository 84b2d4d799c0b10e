"""Our library and its three adapters as applications that the subscriber kit can work at."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from fhircast_conformance.messages import new_case
from fhircast_conformance.subscriber import Waits
from fhircast_subscribers import (
    Backoff,
    ClientSettings,
    Dictation,
    FhirVersion,
    HubSession,
    SubscriberError,
    Viewer,
    Worklist,
    connect,
    follow,
    measurement,
    report_context,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from fhircast_conformance.subscriber import PlayedHub
    from fhircast_subscribers.wire import Resource

QUICK = Waits(
    join=5,
    ack=4,
    action=5,
    quiet=0.3,
    rejoin=5,
    lease=1,
    resend_not_before=0.5,
    resend=5,
    leave=5,
    late=0.1,
    retry=5,
)
"""Waits that let a whole run end within seconds."""

SETTINGS = ClientSettings(
    request_timeout_seconds=1,
    resend_seconds=0.6,
    echo_timeout_seconds=0.3,
    close_timeout_seconds=0.5,
    backoff=Backoff(first_seconds=0.05, max_seconds=0.2),
)


class _Store:
    async def put(self, report: Resource) -> None:
        """Keep nothing."""


class LibraryApp:
    """An adapter on a session, in this process; `acts` is what a user can do at it."""

    starts_by_itself = True

    def __init__(self, name: str, make: Callable[[HubSession], Viewer | Dictation | Worklist]):
        self.name = name
        self.errors: list[str] = []
        self._make = make
        self._running: asyncio.Task[None] | None = None
        self._acting: set[asyncio.Task[None]] = set()
        self.session: HubSession | None = None
        self.adapter: Viewer | Dictation | Worklist | None = None

    async def start(self, hub: PlayedHub) -> None:
        await self.stop()
        self._running = asyncio.create_task(self._run(hub))

    async def stop(self) -> bool:
        running, self._running = self._running, None
        for task in (*self._acting, *([running] if running else [])):
            task.cancel()
        if running is None:
            return False
        was_there = not running.done()
        await asyncio.wait([running])
        return was_there

    async def _run(self, hub: PlayedHub) -> None:
        async with AsyncExitStack() as stack:
            with suppress(SubscriberError):
                joining = connect(
                    hub.hub_url, hub.topic, name=self.name, token=hub.token, settings=SETTINGS
                )
                self.session = await stack.enter_async_context(joining)
                self.adapter = self._make(self.session)
                await follow(self.session, self.adapter)

    async def shows(self, anchor: str, words: str) -> bool | None:
        shown = self.adapter.shown if self.adapter else None
        return shown is not None and shown.anchor == anchor

    async def act(self, action: str) -> bool:
        """Begin what a user does; a refusal by the hub is the user's to see, not the kit's."""
        wanted = getattr(self, f"_{action}", None)
        if wanted is None or self.session is None:
            return False
        begun: Awaitable[None] | None = wanted()
        if begun is None:
            return False

        async def run() -> None:
            try:
                with suppress(SubscriberError):
                    await begun
            except Exception as error:  # a defect of this file or of ours: the test must see it
                self.errors.append(repr(error))

        task = asyncio.create_task(run())
        self._acting.add(task)
        task.add_done_callback(self._acting.discard)
        return True

    async def _logout(self) -> None:
        assert self.session is not None
        await self.session.logout()

    async def _hibernate(self) -> None:
        assert self.session is not None
        await self.session.hibernate()


class ViewerApp(LibraryApp):
    """The Image Display: measures and selects."""

    def __init__(self) -> None:
        super().__init__("Image Display", lambda session: Viewer(session, fhir=FhirVersion.R5))

    async def _update(self) -> None:
        assert isinstance(self.adapter, Viewer)
        instance = ("urn:oid:2.999.8.1", "urn:oid:2.999.8.2")
        id = await self.adapter.share_measurement(8.2, instance=instance)
        await self.adapter.remove_measurement(id)

    async def _select(self) -> None:
        assert isinstance(self.adapter, Viewer)
        await self.adapter.select(*(f"Observation/{it['id']}" for it in self.adapter.measurements))


class DictationApp(LibraryApp):
    """The Report Creator: dictates, refuses while text is unsaved, signs."""

    def __init__(self) -> None:
        super().__init__("Report Creator", lambda session: Dictation(session, _Store()))

    async def _close(self) -> None:
        assert isinstance(self.adapter, Dictation)
        self.adapter.type("no finding")
        await self.adapter.sign()

    _update = _close

    async def _hold(self) -> None:
        assert isinstance(self.adapter, Dictation)
        self.adapter.type("unsaved")

    async def _release(self) -> None:
        assert isinstance(self.adapter, Dictation)
        await self.adapter.discard()


class WorklistApp(LibraryApp):
    """The Worklist Client: opens and closes."""

    def __init__(self) -> None:
        super().__init__("Worklist Client", Worklist)

    async def _open(self) -> None:
        assert isinstance(self.adapter, Worklist)
        case = new_case()
        listed = report_context(case.report, case.patient, case.study, fhir=FhirVersion.R5)
        self.adapter.add(listed)
        await self.adapter.open_case(listed.anchor)

    async def _close(self) -> None:
        assert isinstance(self.adapter, Worklist)
        assert self.adapter.shown is not None
        await self.adapter.close_case(self.adapter.shown.anchor)

    async def _update(self) -> None:
        assert self.session is not None
        session = self.session
        now = datetime.now(UTC)
        await session.update(lambda it: [measurement(it, 3, "mm", measured_at=now)])
