"""A publisher that opens, updates, selects and closes, and sends again what was not answered."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING
from urllib.parse import quote

import httpx
from builders import Json, case, delete, item, observation, put, target
from wire_messages import marker, patient_request, request, select_request, update_request

from torture.following import view_of
from torture.log import Request, now

if TYPE_CHECKING:
    from random import Random

    from torture.log import Log, View
    from torture.nodes import Node

_CASES = 3
_PAUSE_SECONDS = 0.02, 0.1
_TRIES_FOR_SECONDS = 5.0
"""Less than it takes until a hub has heard of so many events that it forgets an id."""

_PLACES = 12
"""Resources that are shared in one report."""


class Publisher:
    """One publisher of one topic."""

    def __init__(
        self, topic: str, nodes: list[Node], *, http: httpx.AsyncClient, log: Log, chance: Random
    ) -> None:
        self._topic = topic
        self._nodes = nodes
        self._http = http
        self._log = log
        self._chance = chance
        self._view: View | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Publish until told to stop."""
        while not stop.is_set():
            await self.publish()
            await asyncio.sleep(self._chance.uniform(*_PAUSE_SECONDS))

    async def publish(self) -> None:
        """Publish one event, and send it until it is answered."""
        if self._view is None or self._chance.random() < 0.3:
            self._view = await self._look()
        message = self._make(self._view)
        message["event"]["hub.topic"] = self._topic
        event = message["event"]
        it = Request(
            f"{self._topic}-{len(self._log.requests)}",
            self._topic,
            event["hub.event"],
            event.get("context.versionId", ""),
        )
        message["id"] = it.event_id
        it.body = json.dumps(message).encode()
        self._log.requests[it.event_id] = it
        until = now() + _TRIES_FOR_SECONDS
        while not it.status and now() < until:
            status, version = await send(self._http, self._chance.choice(self._nodes), it)
            if status and status < 500:
                it.status, it.version, it.answered_at = status, version, now()
            else:
                await asyncio.sleep(0.1)
        self._view = None if not it.is_accepted else self._after(it)

    def _after(self, it: Request) -> View | None:
        """Return what is known after an update: what else was shared counts little here."""
        if it.name.endswith("-update") and self._view is not None:
            old = self._view
            return type(old)(old.of, old.topic, old.anchor, it.version, old.content)
        return None

    async def _look(self) -> View | None:
        try:
            url = f"{self._chance.choice(self._nodes).hub_url}/{quote(self._topic)}"
            answer = await self._http.get(url)
        except httpx.HTTPError:
            return None
        return view_of("", self._topic, answer.json()) if answer.status_code == 200 else None

    def _make(self, view: View | None) -> Json:
        chance = self._chance
        if view is not None and view.anchor.startswith("DiagnosticReport/"):
            number = int(view.anchor.rpartition("-")[2])
            dice = chance.random()
            if dice < 0.55:
                return update_request(view.version, *self._entries(view, number), number=number)
            if dice < 0.65:
                shared = sorted(view.content)[:2] or [target(case(number)[1])]
                return select_request(*shared, number=number)
            if dice < 0.75:
                return request("DiagnosticReport-close", *map(item, case(number)))
        elif view is not None and view.anchor and chance.random() < 0.4:
            return self._close_other(view.anchor)
        return self._open(chance.randrange(1, _CASES + 1))

    def _open(self, number: int) -> Json:
        report, patient, study = case(number)
        dice = self._chance.random()
        if dice < 0.65:
            return request("DiagnosticReport-open", *map(item, (report, patient, study)))
        if dice < 0.8:
            return patient_request(number)
        if dice < 0.95:
            return request("ImagingStudy-open", *map(item, (study, patient)))
        return marker()

    def _close_other(self, anchor: str) -> Json:
        kind, _, id = anchor.partition("/")
        number = int(id.rpartition("-")[2])
        resource = next(it for it in case(number) if it["resourceType"] == kind)
        return request(f"{kind}-close", item(resource))

    def _entries(self, view: View, number: int) -> list[Json]:
        if view.content and self._chance.random() < 0.15:
            return [delete(self._chance.choice(sorted(view.content)))]
        place = self._chance.randrange(_PLACES)
        shared = observation(f"ob-{number}-{place}", self._chance.randrange(1000))
        return [put({**shared, "subject": {"reference": f"Patient/pt-{number}"}})]


async def send(http: httpx.AsyncClient, node: Node, it: Request) -> tuple[int, str]:
    """Send a request to a hub; return status and version, (0, "") if nothing came back."""
    it.sent_at.append(now())
    headers = {"Content-Type": "application/json"}
    try:
        answer = await http.post(node.hub_url, content=it.body, headers=headers)
    except httpx.HTTPError:
        return 0, ""
    version = answer.json().get("context.versionId", "") if answer.status_code < 300 else ""
    return answer.status_code, version
