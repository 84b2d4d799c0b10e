"""Rad AI's event validator: no credentials, the STU2 mount, a schema that every frame must fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar
from uuid import uuid4

from clients.field_client import FieldClient, Json, now_z
from clients.rad_ai_schema import problems

if TYPE_CHECKING:
    import httpx

EVENTS = (
    "Patient-open",
    "ImagingStudy-open",
    "DiagnosticReport-open",
    "DiagnosticReport-opened",
    "DiagnosticReport-update",
)
"""DiagnosticReport-opened is the vendor's own, and no event by the standard's rules."""


class RadAi(FieldClient):
    """The validator; it answers no frame and does not see that its socket is closed.

    Attributes:
        subscribed: It saw a frame with a topic at the top: all that it takes for a confirmation.
        invalid: What it printed about frames that do not fit its schema.
    """

    mount: ClassVar[str] = "/fhircast/STU2"

    subscribed = False

    def __init__(self, origin: str, topic: str) -> None:
        super().__init__(origin, topic)
        self.invalid: list[str] = []

    async def join(self) -> None:
        """Subscribe with four fields, connect."""
        answer = await self.subscribe()
        assert answer.status_code == 202, answer.text
        self.endpoint = answer.json()["hub.channel.endpoint"]
        await self.open_socket()
        await self.is_confirmed()

    async def subscribe(self) -> httpx.Response:
        return await self.post_form(
            {
                "hub.channel.type": "websocket",
                "hub.mode": "subscribe",
                "hub.topic": self.topic,
                "hub.events": ",".join(EVENTS),
            }
        )

    async def received(self, frame: Json) -> None:
        if "hub.topic" in frame:
            self.subscribed = True
            return
        self.invalid += problems(frame, EVENTS)
        await super().received(frame)

    async def publish(self, event: str, *items: Json, **more: str) -> httpx.Response:
        """Post under the topic's own URL; the original never looks at the answer."""
        named = {"hub.event": event, "hub.topic": self.topic}
        version = {key.replace("__", "."): value for key, value in more.items()}
        message: Json = {
            "id": str(uuid4()),
            "timestamp": now_z(),
            "event": {**named, **version, "context": list(items)},
        }
        return await self.post_json(f"{self.hub_url}/{self.topic}", message)

    async def publish_open(self, *items: Json) -> httpx.Response:
        """Open with an empty version, and whatever resources it happens to have."""
        return await self.publish("DiagnosticReport-open", *items, context__versionId="")

    async def publish_opened(self) -> httpx.Response:
        """Say in an event of its own that a report was opened."""
        issue = {"severity": "information", "diagnostics": "Report opened"}
        outcome = {"resourceType": "OperationOutcome", "issue": [issue]}
        entry = {"key": "OperationOutcome", "reference": {"reference": ""}, "resource": outcome}
        return await self.publish("DiagnosticReport-opened", entry)

    async def publish_update(self, status: str) -> httpx.Response:
        """Share a report of a new id, without naming the open one or its version."""
        report = {"resourceType": "DiagnosticReport", "id": str(uuid4()), "status": status}
        entry = {"request": {"method": "PUT"}, "resource": report}
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}
        return await self.publish("DiagnosticReport-update", {"key": "updates", "resource": bundle})
