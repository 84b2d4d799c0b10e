"""The standard's own examples through a hub that runs: what is posted is what is received."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from golden import (
    based_on,
    events,
    exact,
    of_kind,
    opening_of,
    sharing_of,
    text,
    value,
    without_versions,
)
from golden_table import FLOW, IG, REFUSED, Kind
from websockets.asyncio.client import connect
from wire_messages import codings

if TYPE_CHECKING:
    from builders import Json
    from fhircast_conformance.wire import Wire
    from hub_server import RunningHub, StartHub

EVENTS = events()
PROFILES = ("base", "ira")
OPENS = [name for name, it in EVENTS.items() if "-open" in json.loads(it)["event"]["hub.event"]]
_ANY_AGE = "100000000000"
"""Seconds: the examples keep their timestamps whatever the clock of the machine says."""

pytestmark = pytest.mark.parametrize("profile", PROFILES)


async def hub_of(start_hub: StartHub, profile: str) -> RunningHub:
    return await start_hub(profile=profile, max_clock_ahead_seconds=_ANY_AGE)


async def frame_of(wire: Wire, request: str) -> str:
    """Post an event; return the text in which its only subscriber gets it.

    The subscriber spells the event as the request does (D-30), so not even the name changes.
    """
    event = json.loads(request)
    topic, name = event["event"]["hub.topic"], event["event"]["hub.event"]
    answer = await wire.subscribe(topic, [name], name="Reader")
    endpoint = answer.json()["hub.channel.endpoint"]
    async with connect(endpoint, proxy=None, compression=None) as socket:
        await socket.recv()
        posted = await wire.post(request.encode())
        assert posted.status_code == 202, posted.text
        while True:
            frame = str(await socket.recv())
            if json.loads(frame)["id"] == event["id"]:
                return frame


async def prepared(hub: RunningHub, request: str) -> str:
    """Bring the hub to where the event fits; return the event based on the newest version."""
    event = json.loads(request)
    topic = event["event"]["hub.topic"]
    await hub.wire.subscribe(topic, ["Home-open"], name="Keeper")
    version = ""
    opening = opening_of(event)
    if opening is not None:
        version = await accepted_version(hub.wire, opening)
    sharing = sharing_of(event, version)
    if sharing is not None:
        await accepted_version(hub.wire, sharing)
    return based_on(request, version)


async def accepted_version(wire: Wire, event: Json) -> str:
    answer = await wire.post(event)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["context.versionId"])


@pytest.mark.parametrize("name", EVENTS)
async def test_an_event_is_received_as_it_was_posted(
    start_hub: StartHub, profile: str, name: str
) -> None:
    """EVT-04, EVT-05, CONT-07, GEN-04, SEL-01: only the version fields may differ."""
    hub = await hub_of(start_hub, profile)
    request = await prepared(hub, EVENTS[name])
    frame = await frame_of(hub.wire, request)
    assert without_versions(exact(frame)) == without_versions(exact(request))


@pytest.mark.parametrize("name", OPENS)
async def test_the_current_context_is_what_was_opened(
    start_hub: StartHub, profile: str, name: str
) -> None:
    """CTX-02, CTX-06, INF-04: the items of the open as they came, then the empty content."""
    hub = await hub_of(start_hub, profile)
    request = await prepared(hub, EVENTS[name])
    assert (await hub.wire.post(request.encode())).status_code == 202
    view = exact((await hub.wire.get(json.loads(request)["event"]["hub.topic"])).text)
    *opened, content = view["context"] or [{"resource": {}}]
    assert opened == exact(request)["event"]["context"]
    assert not content["resource"].get("entry")


@pytest.mark.parametrize("path", REFUSED)
async def test_a_text_that_is_no_event_is_refused(
    start_hub: StartHub, profile: str, path: str
) -> None:
    """EVT-02, EVT-09, EVT-15, GEN-01: 400, in words, and nothing is open afterwards."""
    hub = await hub_of(start_hub, profile)
    topic = "fdb2f928-5546-4f52-87a0-0648e9ded065"
    await hub.wire.subscribe(topic, ["Patient-open"], name="Keeper")
    answer = await hub.wire.post(text(path).encode())
    assert answer.status_code == 400, answer.text
    assert answer.text.startswith(REFUSED[path])
    assert (await hub.wire.context(topic))["context"] == []


@pytest.mark.parametrize("path", of_kind(Kind.CURRENT_CONTEXT))
async def test_the_hub_answers_like_the_example(
    start_hub: StartHub, profile: str, path: str
) -> None:
    """CTX-02, CTX-03, CTX-06, D-32: after the same open and updates, the same answer to a GET."""
    hub = await hub_of(start_hub, profile)
    example = value(path)
    topic = "a topic"
    await hub.wire.subscribe(topic, ["DiagnosticReport-open"], name="Keeper")
    await play(hub.wire, topic, example)
    assert alike(await hub.wire.context(topic)) == alike(example)


async def play(wire: Wire, topic: str, example: Json) -> None:
    """Open and share what the example shows as open and shared."""
    items = [it for it in example["context"] if it["key"] != "content"]
    if not items:
        return
    event = {"hub.topic": topic, "hub.event": "DiagnosticReport-open", "context": items}
    opening = {"timestamp": "2026-03-02T09:08:04.500Z", "id": "opening", "event": event}
    version = await accepted_version(wire, opening)
    entries = [
        {**it, "request": {"method": "PUT"}}
        for it in example["context"][-1]["resource"].get("entry", [])
    ]
    updates = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    report = {"key": "report", "reference": {"reference": f"DiagnosticReport/{report_id(items)}"}}
    event = {**event, "hub.event": "DiagnosticReport-update", "context.versionId": version}
    event["context"] = [report, {"key": "updates", "resource": updates}]
    await accepted_version(wire, {**opening, "id": "sharing", "event": event})


def report_id(items: list[Json]) -> str:
    return next(str(it["resource"]["id"]) for it in items if it["key"] == "report")


def alike(view: Json) -> Json:
    """An answer without what every hub chooses itself: the versions and the Bundle's id.

    The hub writes a `fullUrl` where the update had none, and a version where nothing is open.
    """
    shown: Json = json.loads(json.dumps(view))
    shown.pop("context.versionId", None)
    for it in shown["context"]:
        if it["key"] == "content":
            it["resource"].pop("id")
            for entry in it["resource"]["entry"]:
                entry.setdefault("fullUrl", "Observation/" + entry["resource"]["id"])
    return shown


async def test_the_well_known_document_has_the_fields_of_the_example(
    start_hub: StartHub, profile: str
) -> None:
    """WK-02 … WK-05: the same fields of the same types, and every event may be subscribed to."""
    (path,) = of_kind(Kind.WELL_KNOWN)
    example = value(path)
    hub = await hub_of(start_hub, profile)
    answer = await hub.wire.http.get(f"{hub.url}/.well-known/fhircast-configuration")
    document = answer.json()
    assert {key: type(document[key]) for key in example} == {
        key: type(it) for key, it in example.items()
    }
    assert document["fhircastVersion"] == example["fhircastVersion"]
    assert set(document["capabilities"]) == set(example["capabilities"])
    granted = await hub.wire.join("a topic", example["eventsSupported"], name="Reader")
    assert granted.confirmation["hub.events"] == ",".join(example["eventsSupported"])


async def test_the_guide_s_forms_subscribe_and_unsubscribe(
    start_hub: StartHub, profile: str
) -> None:
    """SUB-14, CONF-01, UNS-02, UNS-03, IRA-HUB-04: the guide's form has no name, so IRA refuses."""
    page = f"{IG}/2-4-Subscribing"
    hub = await hub_of(start_hub, profile)
    form = text(f"{page}/01-form.txt").strip()
    if profile == "ira":
        answer = await posted_form(hub.wire, form)
        assert (answer[0], "subscriber.name" in str(answer[1])) == (400, True)
        form += "&subscriber.name=Reader"
    denial = await subscribed_and_left(hub, form, text(f"{page}/05-form.txt"), page)
    example = value(f"{page}/04-denial.json")
    assert set(denial) == set(example)
    assert denial["hub.events"] == example["hub.events"]


async def test_the_flow_s_forms_subscribe_and_unsubscribe(
    start_hub: StartHub, profile: str
) -> None:
    """RAD-146, RAD-147, RAD-152: M1, M2, M33 and M34 of the flow."""
    hub = await hub_of(start_hub, profile)
    forms = [text(f"{FLOW}/form-{it}.txt") for it in ("subscribe", "unsubscribe")]
    denial = await subscribed_and_left(hub, forms[0].strip(), forms[1], FLOW)
    assert denial == value(f"{FLOW}/M34-denial.json")


async def subscribed_and_left(hub: RunningHub, form: str, leaving: str, page: str) -> Json:
    """Subscribe and leave by two forms; return the denial, after checking what came before it."""
    paths = [it for it in of_kind(Kind.CONFIRMATION) if it.startswith(page) and "M28" not in it]
    status, answer = await posted_form(hub.wire, form)
    assert (status, list(answer)) == (202, ["hub.channel.endpoint"])
    endpoint = answer["hub.channel.endpoint"]
    socket = await hub.wire.connect(endpoint)
    assert [await socket.next()] == [value(it) for it in paths]
    status, answer = await posted_form(hub.wire, with_endpoint(leaving.strip(), endpoint))
    assert (status, answer) == (202, {"hub.channel.endpoint": endpoint})
    denial = await socket.next()
    assert await socket.close_code() == 1000
    return denial


def with_endpoint(form: str, endpoint: str) -> str:
    """The form for this endpoint; the line end that the guide has behind its own stays."""
    fields = dict(it.split("=", 1) for it in form.split("&"))
    tail = "%0A" if fields["hub.channel.endpoint"].endswith("%0A") else ""
    return "&".join(
        f"{key}={endpoint + tail if key == 'hub.channel.endpoint' else it}"
        for key, it in fields.items()
    )


async def posted_form(wire: Wire, form: str) -> tuple[int, Json]:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = await wire.http.post(wire.hub_url, content=form, headers=headers)
    is_json = answer.headers["content-type"].startswith("application/json")
    return answer.status_code, answer.json() if is_json else {"text": answer.text}


async def test_a_refusal_becomes_the_sync_error_of_the_example(
    start_hub: StartHub, profile: str
) -> None:
    """SYNC-01, SYNC-04, RAD-155: M24 is the answer to M17; the others get the codings of M25."""
    hub = await hub_of(start_hub, profile)
    opening, refusal, told = (
        value(f"{FLOW}/{it}.json")
        for it in ("M17-diagnosticreport-open", "M24-response", "M25-syncerror")
    )
    topic = opening["event"]["hub.topic"]
    worklist = await hub.wire.join(topic, name="Worklist Client")
    creator = await hub.wire.join(topic, name="Report Creator")
    await accepted_version(hub.wire, opening)
    await worklist.followed()
    await creator.next()
    await creator.send(refusal)
    sync_error = await worklist.followed()
    assert list(codings(sync_error).items()) == list(codings(told).items())
    assert outcome_fields(sync_error) == outcome_fields(told)


async def test_a_receipt_says_nothing(start_hub: StartHub, profile: str) -> None:
    """ACK-02: after M26, the M27 that follows is the next that the others hear."""
    hub = await hub_of(start_hub, profile)
    opening, receipt, told = (
        value(f"{FLOW}/{it}.json")
        for it in ("M17-diagnosticreport-open", "M26-response", "M27-syncerror")
    )
    topic = opening["event"]["hub.topic"]
    creator = await hub.wire.join(topic, name="Report Creator")
    await accepted_version(hub.wire, opening)
    await creator.next()
    await creator.send(receipt)
    assert (await hub.wire.post(told)).status_code == 202
    assert await creator.next() == told


def outcome_fields(sync_error: Json) -> list[str]:
    return sorted(sync_error["event"]["context"][0]["resource"]["issue"][0])
