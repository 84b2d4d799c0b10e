"""The client of Medplum (`@medplum/core`): the hub under /fhircast/STU3, an endless reconnect."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ClassVar
from uuid import uuid4

from clients.field_client import DEADLINE_SECONDS, FieldClient, Json, now_z
from websockets.exceptions import InvalidStatus

if TYPE_CHECKING:
    import httpx

_RETRIES = 2

EVENTS = (
    "DiagnosticReport-open",
    "DiagnosticReport-close",
    "DiagnosticReport-update",
    "DiagnosticReport-select",
    "syncerror",
)
"""It knows no other spelling: its own list, letter by letter, with SyncError in lower case."""


class Medplum(FieldClient):
    """Version 5.2.

    Attributes:
        attempts: How often it tried to connect.
        network: Set while it may connect; cleared, it waits as between two of its attempts.
        states: What it tells its application: connect, disconnect, denied, and refused upgrades.
    """

    mount: ClassVar[str] = "/fhircast/STU3"

    def __init__(
        self,
        origin: str,
        topic: str,
        *,
        token: str = "",
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        super().__init__(origin, topic, token=token, transport=transport)
        self.attempts = 0
        self.network = asyncio.Event()
        self.network.set()
        self.states: asyncio.Queue[str] = asyncio.Queue()
        self._http.headers["Accept"] = "application/fhir+json, */*; q=0.1"
        self._http.headers["X-Medplum"] = "extended"
        self._is_over = False

    async def subscribe(self) -> Json:
        """Ask for an endpoint: no lease, no name; any 2xx with a WebSocket URL will do."""
        answer = await self.ask_to_subscribe()
        assert answer.is_success, answer.text
        body: Json = answer.json()
        self.endpoint = body["hub.channel.endpoint"]
        assert self.endpoint.startswith("ws"), "Invalid response!"
        return body

    async def ask_to_subscribe(self) -> httpx.Response:
        return await self.post_form(self._form("subscribe") | {"hub.events": ",".join(EVENTS)})

    async def join(self) -> None:
        """Subscribe and stay connected from now on."""
        await self.subscribe()
        self.start(self.stay_connected())
        await self.is_confirmed()

    async def stay_connected(self) -> None:
        """Reconnect to the same endpoint for ever; only a denial ends it."""
        while not self._is_over:
            await self.network.wait()
            self.attempts += 1
            try:
                self._socket = await self.connect()
            except InvalidStatus as refusal:
                self.states.put_nowait(f"refused {refusal.response.status_code}")
                continue
            self.states.put_nowait("connect")
            await self.read(self._socket)
            self.states.put_nowait("disconnect")

    async def received(self, frame: Json) -> None:
        """Pass over what has no event; acknowledge the rest with id and timestamp, no status."""
        if frame.get("hub.mode") == "denied":
            self._is_over = True
            self.states.put_nowait("denied")
        elif "event" in frame and frame["event"]["hub.event"] != "heartbeat":
            await self.send({"id": frame["id"], "timestamp": now_z()})
            await super().received(frame)

    async def publish(self, event: str, *items: Json, version_id: str = "") -> httpx.Response:
        """Post to hub.url itself."""
        version = {"context.versionId": version_id} if version_id else {}
        named = {"hub.topic": self.topic, "hub.event": event}
        return await self.retrying(
            {
                "timestamp": now_z(),
                "id": str(uuid4()),
                "event": {**named, **version, "context": list(items)},
            }
        )

    async def retrying(self, message: Json) -> httpx.Response:
        """Post it; after a 429 or 5xx twice more, the same id each time."""
        for _ in range(_RETRIES):
            answer = await self.post_json(self.hub_url, message)
            if answer.status_code != 429 and answer.status_code < 500:
                return answer
        return await self.post_json(self.hub_url, message)

    async def unsubscribe(self) -> httpx.Response:
        return await self.post_form(
            self._form("unsubscribe") | {"hub.channel.endpoint": self.endpoint}
        )

    async def next_state(self) -> str:
        async with asyncio.timeout(DEADLINE_SECONDS):
            return await self.states.get()

    async def lose_network(self) -> None:
        """The laptop goes to sleep: the connection is gone and no new one can be made."""
        self.network.clear()
        await self.drop_socket()
        while await self.next_state() != "disconnect":
            pass

    def _form(self, mode: str) -> dict[str, str]:
        return {"hub.channel.type": "websocket", "hub.mode": mode, "hub.topic": self.topic}


class MedplumOfOld(Medplum):
    """Versions 4.1 and 5.1: a bare socket without reconnect, and `endpoint` in the unsubscribe."""

    async def stay_connected(self) -> None:
        self._socket = await self.connect()
        self.states.put_nowait("connect")
        await self.read(self._socket)
        self.states.put_nowait("disconnect")

    async def unsubscribe(self) -> httpx.Response:
        return await self.post_form(
            self._form("unsubscribe") | {"endpoint": self.endpoint, "hub.events": ",".join(EVENTS)}
        )
