"""A small subscriber that conforms, and shares no line with our library: the root of the mutants.

Each method is one thing that a subscriber does, so that a mutant can do one of them wrong.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import httpx
from fhircast_conformance.messages import (
    Case,
    bundle,
    item,
    new_case,
    new_id,
    ref,
    stamp,
    sync_error,
)
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

if TYPE_CHECKING:
    from fhircast_conformance.subscriber import PlayedHub

Json = dict[str, Any]

EVENTS = (
    *(f"DiagnosticReport-{verb}" for verb in ("open", "close", "update", "select")),
    "SyncError",
)


class PlainSubscriber:
    """Subscribes, follows, answers, shares, leaves: just enough, and right."""

    name = "Plain"
    starts_by_itself = True
    resend_seconds = 0.6
    timeout_seconds = 1.0

    async def start(self, hub: PlayedHub) -> None:
        await self.stop()
        self.hub_url, self.topic, self.token = hub.hub_url, hub.topic, hub.token
        self.endpoint = ""
        self.lease = 7200.0
        self.versions: dict[str, str] = {}
        self.opens: dict[str, Json] = {}
        self.shared: list[str] = []
        self.current = ""
        self.opened_at = ""
        self.is_busy = False
        self.is_denied = False
        self.socket: ClientConnection | None = None
        self.last_open: Json | None = None
        self.http = httpx.AsyncClient(trust_env=False, timeout=self.timeout_seconds)
        self.tasks: set[asyncio.Task[None]] = set()
        self.main = asyncio.create_task(self.run())

    # Joining and leaving

    async def run(self) -> None:
        await self.subscribe()
        while self.endpoint and not self.is_denied:
            with suppress(ConnectionClosed, OSError):
                async with connect(self.endpoint, proxy=None, compression=None) as self.socket:
                    await self.follow(self.socket)
            await asyncio.sleep(0.05)

    def form(self, mode: str, **fields: str) -> list[tuple[str, str]]:
        shared = {"hub.channel.type": "websocket", "hub.mode": mode, "hub.topic": self.topic}
        named = {f"hub.{key.replace('__', '.')}": value for key, value in fields.items()}
        return list((shared | named).items())

    async def post_form(self, pairs: list[tuple[str, str]]) -> httpx.Response:
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        body = urlencode(pairs)
        return await self.http.post(self.hub_url, content=body, headers=kind | self.bearer())

    def bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    async def subscribe(self) -> None:
        pairs = self.form("subscribe", events=",".join(EVENTS))
        answer = await self.post_form([*pairs, ("subscriber.name", self.name)])
        if answer.status_code == 202:
            self.endpoint = answer.json()["hub.channel.endpoint"]

    async def renew(self, lease: float) -> None:
        await asyncio.sleep(lease * 0.6)
        await self.post_form(
            self.form("subscribe", events=",".join(EVENTS), channel__endpoint=self.endpoint)
        )

    async def unsubscribe(self) -> None:
        with suppress(httpx.HTTPError):
            await self.post_form(self.form("unsubscribe", channel__endpoint=self.endpoint))

    async def stop(self) -> bool:
        main = getattr(self, "main", None)
        if main is None:
            return False
        was_there = not main.done()
        if self.endpoint and not self.is_denied:
            await self.leave()
        for task in (main, *self.tasks):
            task.cancel()
        await asyncio.wait([main, *self.tasks])
        await self.http.aclose()
        del self.main
        return was_there

    async def leave(self) -> None:
        await self.unsubscribe()
        if self.socket is not None:
            await self.socket.close(1000)

    # Following

    async def follow(self, socket: ClientConnection) -> None:
        async for data in socket:
            frame = json.loads(data)
            if frame.get("hub.mode") == "denied":
                await self.denied()
            elif frame.get("hub.mode") == "subscribe":
                self.do(self.read())
                self.do(self.renew(frame["hub.lease_seconds"]))
            elif "event" in frame:
                await self.answer(frame, await self.handle(frame))

    async def denied(self) -> None:
        self.is_denied = True

    async def answer(self, frame: Json, status: int) -> None:
        assert self.socket is not None
        await self.socket.send(json.dumps({"id": frame["id"], "status": str(status)}))

    async def read(self) -> None:
        with suppress(httpx.HTTPError):
            url = f"{self.hub_url}/{quote(self.topic)}"
            view = (await self.http.get(url, headers=self.bearer())).json()
            for it in view["context"]:
                if it["key"] == "report":
                    self.current = f"DiagnosticReport/{it['resource']['id']}"
                    self.versions[self.current] = view["context.versionId"]

    async def handle(self, frame: Json) -> int:
        event = frame["event"]
        verb = event["hub.event"].lower().rpartition("-")[2]
        handler = getattr(self, f"on_{verb}", None)
        if handler is None:
            return 200
        anchor = next(
            (
                (it.get("reference") or {}).get("reference")
                or f"DiagnosticReport/{it['resource']['id']}"
                for it in event["context"]
                if it["key"] == "report"
            ),
            "",
        )
        status: int = await handler(frame, anchor)
        return status

    async def on_open(self, frame: Json, anchor: str) -> int:
        if not self.is_to_be_followed(frame):
            return 200
        if self.is_busy and anchor != self.current:
            self.do(self.refuse(frame))
            return 202
        self.current, self.opened_at = anchor, frame["timestamp"]
        self.opens[anchor] = frame["event"]
        self.versions[anchor] = frame["event"].get("context.versionId", "")
        return 200

    def is_to_be_followed(self, frame: Json) -> bool:
        return bool(frame["timestamp"] >= self.opened_at)

    async def on_close(self, frame: Json, anchor: str) -> int:
        self.opens.pop(anchor, None)
        self.versions.pop(anchor, None)
        self.current = "" if anchor == self.current else self.current
        return 200

    async def on_update(self, frame: Json, anchor: str) -> int:
        event = frame["event"]
        is_gap = event.get("context.priorVersionId") != self.versions.get(anchor)
        self.versions[anchor] = event["context.versionId"]
        if is_gap:
            await self.gap()
        for it in event["context"]:
            for entry in it["resource"]["entry"] if it["key"] == "updates" else ():
                self.shared.append(str(entry["request"]["url"]))
        return 200

    async def gap(self) -> None:
        self.do(self.read())

    async def on_syncerror(self, frame: Json, anchor: str) -> int:
        coding = frame["event"]["context"][0]["resource"]["issue"][0]["details"]["coding"]
        if self.last_open is not None and self.last_open["id"] == coding[0]["code"]:
            self.do(self.resend(self.last_open))
        return 200

    async def resend(self, opened: Json) -> None:
        before = self.opened_at
        await asyncio.sleep(self.resend_seconds)
        if self.opened_at == before:
            await self.post(opened)

    async def refuse(self, frame: Json) -> None:
        await self.post(self.refusal(frame))

    def refusal(self, frame: Json) -> Json:
        return sync_error(self.topic, frame["id"], frame["event"]["hub.event"], self.name)

    # Asking

    async def act(self, action: str) -> bool:
        wanted = getattr(self, f"do_{action}", None)
        if wanted is not None:
            self.do(wanted())
        return wanted is not None

    async def shows(self, anchor: str, words: str) -> bool | None:
        return self.current == anchor

    def do(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def message(self, event: str, context: list[Json], **fields: str) -> Json:
        named = {key.replace("__", "."): value for key, value in fields.items()}
        inner = {"hub.topic": self.topic, "hub.event": event, "context": context, **named}
        return {"timestamp": self.timestamp(), "id": self.new_id(), "event": inner}

    def timestamp(self) -> str:
        return stamp()

    def new_id(self) -> str:
        return new_id()

    async def post(self, message: Json) -> int:
        """Send a request, once more without any answer, and never after an error."""
        for _ in range(3):
            with suppress(httpx.TransportError):
                return await self.post_once(message)
            message = self.again(message)
        return 0

    async def post_once(self, message: Json) -> int:
        return (await self.http.post(self.hub_url, json=message, headers=self.bearer())).status_code

    def again(self, message: Json) -> Json:
        return message

    async def do_open(self) -> None:
        message = self.message("DiagnosticReport-open", self.opened(new_case()))
        self.last_open = message
        await self.post(message)

    def opened(self, case: Case) -> list[Json]:
        return case.items()

    async def do_close(self) -> None:
        context = self.opens[self.current]["context"]
        await self.post(self.message("DiagnosticReport-close", self.closed(context)))

    def closed(self, context: list[Json]) -> list[Json]:
        return context

    async def do_update(self) -> None:
        observation = self.measured()
        target = f"Observation/{observation['id']}"
        await self.share(self.put(observation))
        await asyncio.sleep(0.05)
        await self.share({"fullUrl": target, "request": {"method": "DELETE", "url": target}})

    def measured(self) -> Json:
        patient = next(
            it["resource"] for it in self.opens[self.current]["context"] if it["key"] == "patient"
        )
        return Case(patient, {"resourceType": "ImagingStudy", "id": "x"}, {}).observation()

    def put(self, resource: Json) -> Json:
        url = f"{resource['resourceType']}/{resource['id']}"
        return {"fullUrl": url, "request": {"method": "PUT", "url": url}, "resource": resource}

    async def share(self, *entries: Json) -> int:
        context = [ref("report", self.current), item("updates", bundle(*entries))]
        event, version = "DiagnosticReport-update", self.version()
        return await self.post(self.message(event, context, context__versionId=version))

    def version(self) -> str:
        return self.versions[self.current]

    async def do_select(self) -> None:
        context = [ref("report", self.current), ref("select", self.shared[-1])]
        await self.post(self.message("DiagnosticReport-select", context))

    async def do_logout(self) -> None:
        await self.post(self.message("UserLogout", [item("parameters", self.why())]))

    async def do_hibernate(self) -> None:
        await self.post(self.message("UserHibernate", [item("parameters", self.why())]))

    def why(self) -> Json:
        coding = {"code": "user-initiated"}
        parameters = [{"name": "code", "valueCoding": coding}]
        return {"resourceType": "Parameters", "parameter": parameters}

    async def do_hold(self) -> None:
        self.is_busy = True

    async def do_release(self) -> None:
        self.is_busy = False
