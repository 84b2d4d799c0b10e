"""Nuance's PowerCast test client: STU2 fields, the context read anew after every event."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import uuid4

from clients.field_client import DEADLINE_SECONDS, FieldClient, Json

if TYPE_CHECKING:
    import httpx

EVENTS = (
    "ImagingStudy-open",
    "ImagingStudy-close",
    "DiagnosticReport-open",
    "DiagnosticReport-close",
    "DiagnosticReport-update",
    "org.example.marker",
)

_LOCAL = timezone(timedelta(hours=-5))


class PowerCast(FieldClient):
    """The test client; it acknowledges nothing.

    Attributes:
        gave_up: Its first frame was not the confirmation of its topic.
    """

    mount: ClassVar[str] = "/fhircast/STU2"

    def __init__(self, origin: str, topic: str, *, token: str = "") -> None:
        super().__init__(origin, topic, token=token)
        self.gave_up = False
        self._views: asyncio.Queue[list[Json]] = asyncio.Queue()

    async def join(self) -> None:
        """Subscribe, with an empty callback, a secret and a day's lease; connect."""
        await self.subscribe()
        await self.open_socket()
        await self.is_confirmed()

    async def subscribe(self) -> None:
        answer = await self.post_form(
            {
                "hub.callback": "",
                "hub.channel.type": "websocket",
                "hub.mode": "subscribe",
                "hub.topic": self.topic,
                "hub.secret": str(uuid4()),
                "hub.events": ",".join(EVENTS),
                "hub.lease_seconds": "86400",
                "hub.subscriber": "TestPowerCast",
            }
        )
        assert answer.is_success, answer.text
        body = answer.json()
        assert isinstance(body.get("contexts", []), list)  # read if a hub sends it; ours does not
        self.endpoint = body["hub.channel.endpoint"]

    async def received(self, frame: Json) -> None:
        """Give up if the first frame is not the confirmation; read the context after an event."""
        if len(self.frames) == 1:
            self.gave_up = frame.get("hub.topic") != self.topic
        if "event" in frame:
            await super().received(frame)
            self._views.put_nowait(await self.get_context())

    async def get_context(self) -> Any:
        """Read the array of contexts."""
        view = await super().get_context()
        assert isinstance(view, list), view
        for it in view:
            assert isinstance(it["contextType"], str)
            assert isinstance(it["context.versionId"], str)
            assert isinstance(it["context"], list)
        return view

    async def next_view(self) -> list[Json]:
        """Return the context as read after the next event."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            return await self._views.get()

    async def publish(self, event: str, *items: Json, version_id: str = "") -> httpx.Response:
        """Post to hub.url: local time with its offset, a name before the id's GUID."""
        version = {"context.versionId": version_id} if version_id else {}
        message: Json = {
            "timestamp": datetime.now(_LOCAL).isoformat(),
            "id": f"TestPowerCast-{uuid4()}",
            "event": {
                "hub.topic": self.topic,
                "hub.event": event,
                **version,
                "context": list(items),
            },
        }
        return await self.post_json(self.hub_url, message)
