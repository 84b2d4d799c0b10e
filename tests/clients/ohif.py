"""The FHIRcast extension of the OHIF viewer: its own field names, and no acknowledgements."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

from clients.field_client import FieldClient, Json, now_z

if TYPE_CHECKING:
    import httpx

_numbers = count(1)

EVENTS = (
    "patient-open",
    "patient-close",
    "imagingstudy-open",
    "imagingstudy-close",
    "diagnosticreport-open",
    "diagnosticreport-close",
    "diagnosticreport-update",
    "diagnosticreport-select",
    "conference-start",
    "conference-end",
    "syncerror",
    "org.example.marker",
)
"""As its configuration lists them; conferences are in no catalogue, the marker is our tests'."""


class Ohif(FieldClient):
    """The extension.

    Attributes:
        name: Its `subscriber.name`, kept over its re-subscribes.
        lease: What it asks for in `hub.lease`.
        product_name: What its configuration says of the hub; PHILIPS is spoken to at hub.url.
    """

    lease = "999"
    product_name = ""

    def __init__(
        self, origin: str, topic: str, *, mount: str = "/api/hub", token: str = ""
    ) -> None:
        super().__init__(origin, topic, token=token)
        self.hub_url = origin + mount
        self.name = f"OHIF-{topic}-{next(_numbers):08x}"
        self._last_published = ""
        self._wants_to_subscribe_again = False

    async def subscribe(self) -> None:
        """Wants 202 and JSON, connects, and sends the endpoint back on the socket."""
        answer = await self.post_form(self._form("subscribe"))
        assert answer.status_code == 202, answer.text
        self.endpoint = answer.json()["hub.channel.endpoint"]
        self._socket = await self.connect()
        await self.send({"hub.channel.endpoint": self.endpoint})
        self.start(self._listen())
        await self.is_confirmed()

    async def received(self, frame: Json) -> None:
        """Pass over frames without an event, denials too, and the own echo; answer nothing."""
        if "event" in frame and frame["id"] != self._last_published:
            await super().received(frame)

    async def ten_seconds_pass(self) -> None:
        """Its timer: after a closed socket it subscribes anew, as if it had never been here."""
        if self._wants_to_subscribe_again:
            self._wants_to_subscribe_again = False
            await self.subscribe()

    async def publish(self, event: str, *items: Json) -> httpx.Response:
        """Post under the topic's own URL, with an id that is no UUID."""
        self._last_published = f"OHIF-{next(_numbers):010x}"
        message = {
            "id": self._last_published,
            "timestamp": now_z(),
            "event": {"hub.topic": self.topic, "hub.event": event, "context": list(items)},
        }
        is_philips = self.product_name == "PHILIPS"
        return await self.post_json(
            self.hub_url if is_philips else f"{self.hub_url}/{self.topic}", message
        )

    async def publish_measurement(self, uid: str) -> httpx.Response:
        """Share a length: no report, no version, and one id for all three resources."""
        resources: list[Json] = [
            {"resourceType": "ImagingStudy", "id": uid, "status": "available"},
            {
                "resourceType": "Observation",
                "id": uid,
                "partOf": {"reference": f"ImagingStudy/{uid}"},
                "status": "preliminary",
                "valueQuantity": {"value": 28.5, "unit": "mm"},
            },
            {
                "resourceType": "ImagingSelection",
                "id": uid,
                "status": "available",
                "studyUid": "2.999.9.1",
            },
        ]
        entries = [{"request": {"method": "POST"}, "resource": it} for it in resources]
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
        return await self.publish("DiagnosticReport-update", {"key": "updates", "resource": bundle})

    async def unsubscribe(self) -> httpx.Response:
        """Name itself and no endpoint, then close the socket whatever the answer."""
        self._wants_to_subscribe_again = False
        answer = await self.post_form(self._form("unsubscribe"))
        if self.close_code is None:
            await self.close_as_browsers_do()
        return answer

    async def _listen(self) -> None:
        assert self._socket is not None
        self._wants_to_subscribe_again = False
        await self.read(self._socket)
        self._wants_to_subscribe_again = True

    def _form(self, mode: str) -> dict[str, str]:
        return {
            "hub.mode": mode,
            "hub.channel.type": "websocket",
            "hub.callback": "https://viewer.example/fhircastCallback",
            "hub.events": ",".join(EVENTS),
            "hub.topic": self.topic,
            "hub.lease": self.lease,
            "subscriber.name": self.name,
        }
