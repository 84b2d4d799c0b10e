"""The log of a whole demo at its loudest: a reading session, its faults and its attackers."""

from __future__ import annotations

import json
import secrets
import signal
from contextlib import AsyncExitStack, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import httpx
import pytest
from builders import observation, put, stamp
from demo_process import demo, origin_of, value_of
from fhircast_conformance.wire import Wire
from smart_browser import Application
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException
from wire_messages import ALL_EVENTS

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

Json = dict[str, Any]
APPS = ("worklist", "viewer", "dictation")


class Demo:
    """`fhircast demo` as a process, and every secret that was seen while it ran."""

    def __init__(self, process: subprocess.Popen[str], printed: str) -> None:
        self.process = process
        self.origin = origin_of(printed)
        self.browser = httpx.Client(base_url=self.origin, timeout=20)
        self.secrets: set[str] = set()
        for name in ("client_secret", "hub.topic", "token"):
            self.knows(value_of(printed, name))

    def knows(self, *values: str) -> None:
        """Note what must be nowhere in the log: the values, and each part of a token."""
        for value in values:
            self.secrets |= {it for it in (value, *value.split(".")) if len(it) > 3}

    def launched(self, app: str, session: Json) -> Json:
        """Launch an application as the EHR's page does; return the token response."""
        client, launch = session["apps"][app]["client_id"], session["apps"][app]["launch"]
        scope = "launch online_access user/*.rs user/*.cruds fhircast/*.*"
        asking = Application(client, f"{self.origin}/{app}", scope)
        query = asking.query(aud=session["iss"], launch=launch)
        location = self.browser.get("/auth/authorize", params=query).headers["location"]
        code = parse_qs(urlsplit(location).query)["code"][0]
        form = asking.form(code)
        answer: Json = self.browser.post("/auth/token", data=form).json()
        self.knows(asking.verifier, launch, code, answer["access_token"], answer["refresh_token"])
        return answer


@contextmanager
def running_demo(log: Path) -> Iterator[Demo]:
    flags = ("--port", "0", "--log-level", "debug")
    with log.open("w") as file, demo(*flags, log=file) as (process, printed):
        yield Demo(process, printed)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)


def strings_of(value: object) -> Iterator[str]:
    """Every text that identifies: names, numbers, dates of birth, UIDs."""
    if isinstance(value, dict):
        for it in value.values():
            yield from strings_of(it)
    elif isinstance(value, list):
        for it in value:
            yield from strings_of(it)
    elif isinstance(value, str):
        yield value


def identifying(demo: Demo, token: str) -> set[str]:
    """What identifies any patient, study, order or report of the demo."""
    found: set[str] = set()
    for kind in ("Patient", "ImagingStudy", "ServiceRequest", "DiagnosticReport"):
        answer = demo.browser.get(
            f"/fhir/{kind}", params={"_count": "100"}, headers={"Authorization": f"Bearer {token}"}
        )
        for resource in (it["resource"] for it in answer.json()["entry"]):
            found.add(f"{kind}/{resource['id']}")
            found |= {it["value"] for it in resource.get("identifier", [])}
            if kind == "Patient":
                found |= set(strings_of(resource["name"])) | {resource["birthDate"]}
    return {it for it in found if len(it) > 2}


def case_of(demo: Demo, token: str) -> list[Json]:
    """Report, patient and study of one case, as context items."""
    headers = {"Authorization": f"Bearer {token}"}

    def read(reference: str) -> Json:
        resource: Json = demo.browser.get(f"/fhir/{reference}", headers=headers).json()
        return resource

    reports = demo.browser.get("/fhir/DiagnosticReport", headers=headers).json()["entry"]
    report = next(it["resource"] for it in reports if it["resource"].get("imagingStudy"))
    patient = read(report["subject"]["reference"])
    study = read(report["imagingStudy"][0]["reference"])
    keys = {"report": report, "patient": patient, "study": study}
    return [{"key": key, "resource": it} for key, it in keys.items()]


def event(topic: str, name: str, context: list[Json], version: str = "") -> Json:
    body: Json = {"hub.topic": topic, "hub.event": name, "context": context}
    if version:
        body["context.versionId"] = version
    return {"timestamp": stamp(datetime.now(UTC)), "id": str(uuid4()), "event": body}


async def reading_session(
    demo: Demo, granted: dict[str, Json], case: list[Json], stack: AsyncExitStack
) -> None:
    """Open, share, select, refuse, lose a connection, close, leave."""
    hub_url, topic = granted["viewer"]["hub.url"], granted["viewer"]["hub.topic"]
    wires = {
        app: await stack.enter_async_context(Wire(hub_url, token=granted[app]["access_token"]))
        for app in APPS
    }
    worklist, viewer, dictation = [
        await it.join(topic, ALL_EVENTS, name=app) for app, it in wires.items()
    ]
    for it in (worklist, viewer, dictation):
        demo.knows(it.endpoint.rsplit("/", 1)[-1])
    opened = await wires["worklist"].post(event(topic, "DiagnosticReport-open", case))
    assert opened.status_code == 202, opened.text
    version = opened.json()["context.versionId"]
    report = case[0]
    finding = observation("ob-1") | {
        "subject": {"reference": f"Patient/{case[1]['resource']['id']}"}
    }
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [put(finding)]}
    updates = {"key": "updates", "resource": bundle}
    shared = await wires["viewer"].post(
        event(topic, "DiagnosticReport-update", [report, updates], version)
    )
    assert shared.status_code == 202, shared.text
    stale = event(topic, "DiagnosticReport-update", [report, updates], version)
    assert (await wires["viewer"].post(stale)).status_code == 409
    await dictation.acknowledge(await dictation.next(), "409")
    await worklist.send(json.dumps(case))
    await viewer.abort()
    await wires["worklist"].post(event(topic, "DiagnosticReport-close", case))
    await wires["dictation"].unsubscribe(topic, dictation.endpoint)
    await worklist.close()


async def attack(demo: Demo, granted: Json, case: list[Json]) -> None:
    """Put what must not be told where a careless log would tell it."""
    hub_url, token = granted["hub.url"], granted["access_token"]
    name = case[1]["resource"]["name"][0]["family"]
    bearer = {"Authorization": f"Bearer {token}"}
    wrong = {"Authorization": f"Bearer {token}x"}
    async with httpx.AsyncClient() as client:
        for headers in (wrong, bearer):
            await client.get(f"{hub_url}/{name}?patient={name}", headers=headers)
            await client.post(hub_url, content=f'{{"{name}', headers=headers)
            await client.post(hub_url, json={"id": name}, headers={**headers, "X-Patient": name})
            await client.post(hub_url, data={"hub.topic": name, name: name}, headers=headers)
            await client.request("PATIENT", hub_url, headers=headers, content=name)
            await client.get(f"{demo.origin}/fhir/Patient?name={name}", headers=headers)
            await client.get(f"{demo.origin}/fhir/{name}", headers=headers)
            await client.get(f"{demo.origin}/dicomweb/studies/{name}", headers=headers)
            await client.post(f"{demo.origin}/auth/token", data={"code": name}, headers=headers)
            await client.get(f"{demo.origin}/auth/authorize?client_id={name}", headers=headers)
    endpoint = secrets.token_urlsafe(24)
    demo.knows(endpoint)
    for path in (endpoint, name):
        url = f"{hub_url.replace('http', 'ws', 1)}/ws/{path}"
        with pytest.raises(WebSocketException):
            await _until_closed(url, bearer)


async def _until_closed(url: str, headers: dict[str, str]) -> None:
    async with connect(url, additional_headers=headers) as socket:
        while True:
            await socket.recv()


@pytest.mark.xdist_group("demo")
async def test_the_log_of_a_whole_demo_tells_no_secret(tmp_path: Path) -> None:
    """SEC-03: no name, number, token, topic or endpoint, with every level on."""
    log = tmp_path / "log"
    with running_demo(log) as demo:
        demo.browser.post("/login", data={"user": "radiologist"})
        demo.knows(*demo.browser.cookies.values())
        session = demo.browser.get("/ehr/session").json()
        granted = {app: demo.launched(app, session) for app in APPS}
        viewer = granted["viewer"]
        demo.knows(viewer["hub.topic"])
        demo.knows(*identifying(demo, viewer["access_token"]))
        case = case_of(demo, viewer["access_token"])
        async with AsyncExitStack() as stack:
            await reading_session(demo, granted, case, stack)
        await attack(demo, viewer, case)
        demo.browser.post("/logout")
        demo.browser.close()
    text = log.read_text()
    assert "fhircast_hub" in text, "the log must have been on"
    assert len(demo.secrets) > 50
    assert [it for it in sorted(demo.secrets) if it in text] == []
