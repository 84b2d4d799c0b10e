"""The IRA profile on the wire: what the actor table and the transactions ask of a hub."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from builders import PATIENT, REPORT, STUDY, TOPIC, Json, delete, item, mrn, put
from wire_messages import (
    denied_and_closed,
    only_marker_comes,
    open_request,
    patient_request,
    request,
    update_request,
)

if TYPE_CHECKING:
    from hub_server import RunningHub, StartHub


@pytest.fixture
async def ira(start_hub: StartHub) -> RunningHub:
    return await start_hub(profile="ira")


async def test_the_capabilities_of_an_ira_hub(ira: RunningHub) -> None:
    """IRA-HUB-01, WK-05: content sharing and the current context, in FHIR R5."""
    answer = await ira.wire.http.get(f"{ira.url}/.well-known/fhircast-configuration")
    said = answer.json()
    assert said["fhirVersion"] == "R5"
    assert said["getCurrentSupport"] is True
    assert said["capabilities"]["supportsGetCurrentContext"] is True
    assert {f"DiagnosticReport-{it}" for it in ("open", "close", "update", "select")} <= set(
        said["eventsSupported"]
    )


async def test_a_repeated_subscribe_replaces_events_and_expiry(ira: RunningHub) -> None:
    """RAD-146, IRA-HUB-05: the same endpoint, the new list, the new lease."""
    socket = await ira.wire.join(
        TOPIC, ["DiagnosticReport-open"], name="Viewer", hub__lease_seconds="50"
    )
    again = await ira.wire.subscribe(
        TOPIC,
        ["Patient-open", "org.example.marker"],
        name="Viewer",
        hub__lease_seconds="70",
        hub__channel__endpoint=socket.endpoint,
    )
    assert again.json() == {"hub.channel.endpoint": socket.endpoint}
    confirmed = (await socket.confirmed()).confirmation
    assert (confirmed["hub.events"], confirmed["hub.lease_seconds"]) == (
        "Patient-open,org.example.marker",
        70,
    )
    await ira.wire.post(open_request())
    sent = patient_request(2)
    await ira.wire.post(sent)
    # A Patient-open that the hub derives from the report's may come first.
    while (frame := await socket.followed())["id"] != sent["id"]:
        assert frame["event"]["hub.event"] == "Patient-open"


async def test_the_current_context_always_has_content(ira: RunningHub) -> None:
    """RAD-153, IRA-HUB-14: present even if empty; an unknown topic is 404."""
    assert (await ira.wire.get(TOPIC)).status_code == 404
    socket = await ira.wire.join(TOPIC, name="Viewer")
    await ira.wire.post(open_request())
    await socket.followed()
    [content] = [it for it in (await ira.wire.context(TOPIC))["context"] if it["key"] == "content"]
    bundle = content["resource"]
    assert (bundle["resourceType"], bundle["type"]) == ("Bundle", "collection")
    assert "entry" not in bundle


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"hub.channel.type": "webhook"}, "hub.channel.type"),
        ({"hub.topic": ""}, "hub.topic"),
        ({"hub.channel.endpoint": ""}, "hub.channel.endpoint"),
        ({"hub.channel.endpoint": "wss://hub.example.org/ws/" + "A" * 32}, "hub.channel.endpoint"),
        ({"hub.topic": "another"}, "hub.channel.endpoint"),
    ],
)
async def test_a_faulty_unsubscribe(ira: RunningHub, changed: dict[str, str], field: str) -> None:
    """RAD-152, IRA-HUB-13, UNS-05: 400 by field, and the subscription goes on."""
    socket = await ira.wire.join(TOPIC, ["org.example.marker"], name="Viewer")
    form = {
        "hub.channel.type": "websocket",
        "hub.mode": "unsubscribe",
        "hub.topic": TOPIC,
        "hub.channel.endpoint": socket.endpoint,
        "subscriber.name": "Viewer",
    }
    answer = await ira.wire.form({**form, **changed})
    assert (answer.status_code, answer.text.split(":")[0]) == (400, field)
    await only_marker_comes(ira.wire, socket)
    assert (await ira.wire.form(form)).json() == {"hub.channel.endpoint": socket.endpoint}
    assert await denied_and_closed(socket) == ("unsubscribed", 1000)


def moved(resource: Json, **elements: object) -> Json:
    return put({**resource, **elements})


OTHER_STUDY = [{"reference": "ImagingStudy/is-2"}]
ENTRIES: dict[str, tuple[Json, int]] = {
    "phone": (moved(PATIENT, telecom=[{"value": "555-0100"}]), 202),
    "status": (moved(REPORT, status="final"), 202),
    "comparison": (put({**STUDY, "id": "is-7"}), 202),
    "other MRN": (moved(PATIENT, identifier=[mrn("4438002")]), 400),
    "second MRN": (moved(PATIENT, identifier=[*PATIENT["identifier"], mrn("4438002")]), 400),
    "no MRN": (moved(PATIENT, identifier=[]), 400),
    "no accession": (moved(STUDY, identifier=STUDY["identifier"][:1]), 400),
    "no study UID": (moved(STUDY, identifier=STUDY["identifier"][1:]), 400),
    "other study": (moved(REPORT, study=OTHER_STUDY), 400),
    "other study in R4": (moved(REPORT, study=[], imagingStudy=OTHER_STUDY), 400),
    "other subject": (moved(REPORT, subject={"reference": "Patient/pt-2"}), 400),
    "patient deleted": (delete("Patient/pt-1"), 400),
    "study deleted": (delete("ImagingStudy/is-1"), 400),
}


@pytest.mark.parametrize("name", ENTRIES)
async def test_an_update_keeps_report_patient_and_study_together(
    ira: RunningHub, name: str
) -> None:
    """RAD-150, IRA-HUB-11: 400 and nothing applied where a link would change or vanish."""
    socket = await ira.wire.join(TOPIC, name="Viewer")
    await ira.wire.post(open_request())
    version = (await socket.followed())["event"]["context.versionId"]
    before = await ira.wire.context(TOPIC)
    entry, status = ENTRIES[name]
    answer = await ira.wire.post(update_request(version, entry))
    assert answer.status_code == status, answer.text
    assert (await ira.wire.context(TOPIC) == before) is (status == 400)


@pytest.mark.parametrize("missing", ["report", "updates"])
async def test_an_update_names_report_and_updates(ira: RunningHub, missing: str) -> None:
    """RAD-150, IRA-HUB-11, CONT-08: 400 by key."""
    await ira.wire.join(TOPIC, name="Viewer")
    version = (await ira.wire.post(open_request())).json()["context.versionId"]
    update = update_request(version, put(PATIENT))
    context = update["event"]["context"]
    update["event"]["context"] = [it for it in context if it["key"] != missing]
    answer = await ira.wire.post(update)
    assert (answer.status_code, answer.text.split(":")[0]) == (400, f"context.{missing}")


async def test_a_close_names_a_report_with_an_id(ira: RunningHub) -> None:
    """RAD-149, IRA-HUB-09: 400 without report or its id; the context stays."""
    await ira.wire.join(TOPIC, name="Viewer")
    await ira.wire.post(open_request())
    nameless = {key: it for key, it in REPORT.items() if key != "id"}
    for items in ([item(PATIENT)], [item(nameless), item(PATIENT)]):
        assert (await ira.wire.post(request("DiagnosticReport-close", *items))).status_code == 400
    assert (await ira.wire.context(TOPIC))["context.type"] == "DiagnosticReport"
