"""The ordinary conforming subscriber that shares the session with each client of the field."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clients.field_client import FieldClient, Json
from wire_messages import ALL_EVENTS, codings, marker, open_request

if TYPE_CHECKING:
    import httpx


class Neighbour(FieldClient):
    """Subscribes to everything, acknowledges every event at once; it must never be harmed.

    Attributes:
        refuses: Status of its next acknowledgement instead of 200, "" for 200.
        is_silent: It acknowledges no more.
    """

    refuses = ""
    is_silent = False

    async def join(self, name: str) -> None:
        """Subscribe under a name and connect; return once confirmed."""
        answer = await self.post_form(
            {
                "hub.channel.type": "websocket",
                "hub.mode": "subscribe",
                "hub.topic": self.topic,
                "hub.events": ",".join(ALL_EVENTS),
                "subscriber.name": name,
            }
        )
        assert answer.status_code == 202, answer.text
        self.endpoint = answer.json()["hub.channel.endpoint"]
        await self.open_socket()
        await self.is_confirmed()

    async def leave(self) -> None:
        """Unsubscribe."""
        answer = await self.post_form(
            {
                "hub.channel.type": "websocket",
                "hub.mode": "unsubscribe",
                "hub.topic": self.topic,
                "hub.channel.endpoint": self.endpoint,
            }
        )
        assert answer.status_code == 202, answer.text

    async def received(self, frame: Json) -> None:
        if "event" in frame and not self.is_silent:
            await self.send({"id": frame["id"], "status": self.refuses or "200"})
            self.refuses = ""
        await super().received(frame)

    async def publish(self, message: Json) -> httpx.Response:
        return await self.post_json(self.hub_url, message)

    async def shares(self, message: Json) -> str:
        """Publish, and get it like everybody else; return the version."""
        answer = await self.publish(message)
        assert answer.status_code == 202, answer.text
        assert (await self.next_event())["id"] == message["id"]
        return str(answer.json().get("context.versionId", ""))

    async def nothing_but_a_marker_comes(self, *others: FieldClient) -> None:
        """Check that nothing is under way to this subscriber, nor to others that get markers."""
        sent = marker()
        assert (await self.publish(sent)).status_code == 202
        for client in (self, *others):
            event = await client.next_event()
            assert event["id"] == sent["id"], event


async def acknowledgements_fall_due(neighbour: Neighbour, mute: Neighbour) -> None:
    """Two events go out, and time passes until one that fell silent after the first is ended."""
    await neighbour.shares(open_request(1))
    await mute.next_event()
    mute.is_silent = True
    await neighbour.shares(open_request(2))
    assert codings(await neighbour.next_event())["subscribername"] == "Mute"
    await mute.is_closed()
    assert mute.frames[-1]["hub.reason"] == "no acknowledgements"
