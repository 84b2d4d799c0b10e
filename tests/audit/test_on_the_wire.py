"""What a hub that runs records: exactly one entry of each request, and nothing secret."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import audit_events as told
import httpx
import pytest
from builders import OBSERVATION, TOPIC, mrn, put
from fhircast_demo.ehr import FhirStore, fhir_app
from fhircast_hub.cli.token import mint_token
from fhircast_hub.config import SettingError, load_settings
from fhircast_hub.web.app import create_app
from wire_messages import (
    ALL_EVENTS,
    close_request,
    marker,
    open_request,
    patient_request,
    select_request,
    sync_error_request,
    update_request,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from app_server import Serve
    from hub_server import RunningHub, StartHub

KEY = "a key for tests only, 32 characters and more"


def token_of(user: str = "dr-1", scope: str = "fhircast/*.*", topic: str = "") -> str:
    return mint_token(KEY, scope=scope, subject=user, client_id="viewer", seconds=60, topic=topic)


async def start(start_hub: StartHub, audit_file: Path, **more: str) -> RunningHub:
    settings = {"auth": "jwt", "jwt_key": KEY, "audit_file": str(audit_file), **more}
    return await start_hub(**settings)


def recorded(audit_file: Path) -> list[dict[str, Any]]:
    """All entries but the hub's start and stop, each one checked."""
    events = told.entries_of(audit_file)
    for it in events:
        told.check_r4(it)
    assert [told.act(events[0]), told.act(events[-1])] == ["start", "stop"]
    return events[1:-1]


def text_of(path: Path) -> str:
    return path.read_text() if path.exists() else ""


async def test_queries_are_recorded_as_query_information(
    start_hub: StartHub, audit_file: Path
) -> None:
    """IRA-HUB-22: subscribe, unsubscribe and read, with who asked for what from where."""
    hub = await start(start_hub, audit_file)
    wire = await hub.client(token_of())
    socket = await wire.join(TOPIC, ["Patient-open", "SyncError"], name="Viewer")
    await wire.post(patient_request())
    await wire.context(TOPIC)
    await wire.unsubscribe(TOPIC, socket.endpoint)
    await hub.stop()
    events = recorded(audit_file)
    assert [told.act(it) for it in events] == [
        "subscribe", "connect", "open", "read-context", "unsubscribe",
    ]  # fmt: skip
    queries = [it for it in events if "meta" in it]
    assert [told.transaction(it) for it in queries] == ["RAD-146", "RAD-153", "RAD-152"]
    for it in queries:
        assert told.coded(it, "http://dicom.nema.org/resources/ontology/DCM", "110112")
        assert (told.user(it), told.topic(it)) == ("dr-1", TOPIC)
        assert told.client(it)["who"]["identifier"]["value"] == "viewer"
        assert told.client(it)["network"]["address"] == "127.0.0.1"
    subscribed = told.entity(queries[0], "2")["description"]
    assert subscribed == f"hub.mode=subscribe&hub.topic={TOPIC}&hub.events=Patient-open,SyncError"
    assert told.patient(queries[1]) == "Patient/pt-1"


async def test_every_event_makes_its_entry(start_hub: StartHub, audit_file: Path) -> None:
    """RAD-148 … 151, 156: what was requested, about which context and patient, under which id."""
    hub = await start(start_hub, audit_file)
    wire = await hub.client(token_of())
    await wire.subscribe(TOPIC, ALL_EVENTS)
    opened = open_request()
    version_id = (await wire.post(opened)).json()["context.versionId"]
    for it in (
        update_request(version_id, put(OBSERVATION)),
        select_request("Observation/ob-1"),
        sync_error_request(opened["id"]),
        marker(),
        close_request(),
    ):
        assert (await wire.post(it)).status_code == 202
    await hub.stop()
    events = recorded(audit_file)[1:]
    assert [told.transaction(it) for it in events] == [
        "RAD-148", "RAD-150", "RAD-151", "RAD-156", "", "RAD-149",
    ]  # fmt: skip
    first = events[0]
    assert told.details(first)["hub.event"] == "DiagnosticReport-open"
    assert told.patient(first) == "Patient/pt-1"
    assert told.entity(first, "2")["what"]["reference"] == "DiagnosticReport/dr-1"
    assert told.entity(first, "XrequestId")["what"]["identifier"]["value"] == opened["id"]
    assert told.details(events[1])["context.versionId"] == version_id
    assert {it["outcome"] for it in events} == {"0"}


async def test_refusals_are_recorded_with_their_reason(
    start_hub: StartHub, audit_file: Path
) -> None:
    """400, 403, 404 and 409 are outcome 4; they name fields, never values."""
    hub = await start(start_hub, audit_file, profile="ira")
    wire = await hub.client(token_of())
    bound = await hub.client(token_of(topic="another"))
    await wire.subscribe(TOPIC, ALL_EVENTS, name="Viewer")
    answers = [
        await wire.post(close_request()),
        await wire.post(update_request("v-old")),
        await wire.post(b"{}"),
        await wire.form({"hub.mode": "subscribe"}),
        await wire.get("unknown"),
        await bound.get(TOPIC),
        await bound.subscribe(TOPIC, ALL_EVENTS, name="Viewer"),
    ]
    await hub.stop()
    events = recorded(audit_file)[1:]
    assert [it["outcomeDesc"] for it in events] == [
        f"{it.status_code} {it.text.splitlines()[0]}" for it in answers
    ]
    assert {it["outcome"] for it in events} == {"4"}
    assert [told.act(it) for it in events[2:]] == [
        "not-understood", "not-understood", "read-context", "read-context", "subscribe",
    ]  # fmt: skip


FOREIGN = mint_token("x" * 32, scope="", subject="u", client_id="c", seconds=60)


@pytest.mark.parametrize("token", ["", "not-a-token", FOREIGN], ids=["none", "odd", "foreign"])
async def test_a_bad_token_is_recorded_without_it(
    start_hub: StartHub, audit_file: Path, token: str
) -> None:
    """401 is outcome 8: address and reason, nothing that the caller claims."""
    hub = await start(start_hub, audit_file)
    wire = await hub.client(token)
    assert (await wire.get(TOPIC)).status_code == 401
    await hub.stop()
    (event,) = recorded(audit_file)
    assert (told.act(event), event["outcome"]) == ("authenticate", "8")
    assert told.client(event)["network"]["address"] == "127.0.0.1"
    assert "entity" not in event
    assert not told.user(event)


async def test_the_file_holds_no_secret_and_no_name(start_hub: StartHub, audit_file: Path) -> None:
    """Neither tokens nor endpoints, nor of patients more than their reference."""
    hub = await start(start_hub, audit_file)
    token = token_of()
    wire = await hub.client(token)
    socket = await wire.join(TOPIC, ALL_EVENTS, name="Smith-Jones")
    opened = open_request()
    patient = opened["event"]["context"][1]["resource"]
    patient |= {"name": [{"family": "Smith-Jones"}], "identifier": [mrn("MRN-OF-SMITH")]}
    await wire.post(opened)
    await wire.context(TOPIC)
    await wire.post(opened | {"timestamp": "Smith-Jones"})
    await wire.http.get(socket.endpoint.replace("ws:", "http:", 1))
    await wire.subscribe(TOPIC, ALL_EVENTS, hub__channel__endpoint=socket.endpoint)
    await wire.unsubscribe(TOPIC, socket.endpoint)
    await hub.stop()
    assert len(recorded(audit_file)) == 8
    text = text_of(audit_file)
    endpoint_id = socket.endpoint.rsplit("/", 1)[-1]
    assert [
        it for it in ("Smith-Jones", "MRN-OF-SMITH", token, KEY, endpoint_id) if it in text
    ] == []


async def test_an_ending_by_the_hub_is_recorded(start_hub: StartHub, audit_file: Path) -> None:
    """A lease that ends, and a connection that is lost for good."""
    hub = await start(start_hub, audit_file, reconnect_grace_seconds="0")
    wire = await hub.client(token_of())
    watching = await wire.join(TOPIC, ALL_EVENTS, name="Worklist")
    lost = await wire.join(TOPIC, ALL_EVENTS, name="Viewer")
    short = await wire.join("short", ALL_EVENTS, hub__lease_seconds="1")
    await lost.abort()
    assert (await watching.next())["event"]["hub.event"] == "SyncError"
    assert (await short.next())["hub.mode"] == "denied"
    await hub.stop()
    ended = [it for it in recorded(audit_file) if told.act(it) == "subscription-ended"]
    assert {(it["outcomeDesc"], told.topic(it)) for it in ended} == {
        ("connection lost", TOPIC),
        ("lease ended", "short"),
    }
    assert {told.user(it) for it in ended} == {"dr-1"}


async def test_the_trail_is_off_by_default(hub: RunningHub, audit_file: Path) -> None:
    await hub.wire.join(TOPIC, ALL_EVENTS)
    await hub.stop()
    assert not text_of(audit_file)


def test_an_unusable_file_stops_the_start(audit_file: Path) -> None:
    """One line that names the setting and what is wrong."""
    settings = load_settings({}, {"audit_file": str(audit_file / "there")})
    with pytest.raises(SettingError, match=r"FHIRCAST_AUDIT_FILE=.*No such file") as refused:
        create_app(settings)
    assert len(str(refused.value).splitlines()) == 1


async def test_a_fhir_server_gets_every_entry(start_hub: StartHub, serve: Serve) -> None:
    """The demo's EHR keeps them; over HTTP, in order."""
    url = await serve(fhir_app(FhirStore()))
    hub = await start_hub(audit_fhir_url=url)
    await hub.wire.subscribe(TOPIC, ALL_EVENTS)
    await hub.wire.post(open_request())
    await hub.wire.context(TOPIC)
    await hub.stop()
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(f"{url}/AuditEvent", params={"_count": "50"})
    kept = [it["resource"] for it in json.loads(answer.text)["entry"]]
    for it in kept:
        told.check_r4(it)
    assert sorted(told.act(it) for it in kept) == [
        "open", "read-context", "start", "stop", "subscribe",
    ]  # fmt: skip


async def test_a_request_that_is_cut_off_is_recorded(start_hub: StartHub, audit_file: Path) -> None:
    """A caller who is known announces a body, and goes away in its middle."""
    hub = await start(start_hub, audit_file)
    wire = await hub.client(token_of())

    async def half() -> AsyncIterator[bytes]:
        yield b'{"timestamp":'
        raise ConnectionAbortedError

    with pytest.raises(ConnectionAbortedError):
        await wire.http.post(hub.url, content=half(), headers={"Content-Type": "application/json"})
    await hub.stop()
    (event,) = recorded(audit_file)
    assert (told.act(event), told.user(event)) == ("not-understood", "dr-1")
    assert event["outcomeDesc"] == "500 not finished"


async def test_bad_tokens_of_one_address_cannot_push_the_others_out(
    start_hub: StartHub, tmp_path: Path
) -> None:
    """IRA-HUB-22: beyond some a minute they are counted, and told in one entry."""
    audit_file = tmp_path / "audit.jsonl"
    hub = await start(start_hub, audit_file)
    for number in range(70):
        stranger = await hub.client(f"guess {number}")
        assert (await stranger.get(TOPIC)).status_code == 401
    await hub.stop()
    entries = recorded(audit_file)
    told_of = sum(
        int(it) for it in re.findall(r"; (\d+) more from this address", text_of(audit_file))
    )
    assert len(entries) < 70
    # The last entry stands for the untold ones, and for none of its own.
    assert len(entries) - 1 + told_of in {69, 70}
