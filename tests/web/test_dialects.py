"""Dialects and strictness on the wire: what a switch allows or refuses, and what the log says."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from builders import ENCOUNTER, OBSERVATION, PATIENT, REPORT, STUDY, TOPIC, Json, bundle, item, ref
from wire_messages import (
    ALL_EVENTS,
    only_marker_comes,
    open_request,
    patient_request,
    request,
    update_request,
)

if TYPE_CHECKING:
    from hub_server import StartHub

REPORT_LESS = "open-without-report"


def updates(*entries: Json) -> Json:
    return {"key": "updates", "resource": bundle(*entries)}


def post(resource: Json) -> Json:
    return {"request": {"method": "POST"}, "resource": resource}


NAMELESS = {key: it for key, it in OBSERVATION.items() if key != "id"}


@pytest.mark.parametrize("profile", ["base", "ira"])
async def test_the_way_of_clients_in_the_field(start_hub: StartHub, profile: str) -> None:
    """D-49: a report-less open, an update without report, version and ids, a close of the study."""
    dialects = "open-without-report,update-without-version,post-without-id"
    hub = await start_hub(profile=profile, dialects=dialects)
    socket = await hub.wire.join(TOPIC, ALL_EVENTS, name="Viewer")
    sent = request("DiagnosticReport-open", item(STUDY))
    sent["event"]["context.versionId"] = ""
    assert (await hub.wire.post(sent)).status_code == 202
    opened = (await socket.followed())["event"]
    assert opened["context"] == sent["event"]["context"]
    update = request("DiagnosticReport-update", updates(post(NAMELESS)))
    assert (await hub.wire.post(update)).status_code == 202
    updated = (await socket.followed())["event"]
    assert updated["context.priorVersionId"] == opened["context.versionId"]
    given = updated["context"][0]["resource"]["entry"][0]["resource"]
    assert {key: it for key, it in given.items() if key != "id"} == NAMELESS
    assert UUID(given["id"])
    view = await hub.wire.context(TOPIC)
    assert view["context.type"] == "DiagnosticReport"
    assert view["context"][0] == item(STUDY)
    assert view["context"][-1]["resource"]["entry"][0]["resource"] == given
    close = request("DiagnosticReport-close", ref("ImagingStudy/is-1", "study"))
    assert (await hub.wire.post(close)).status_code == 202
    assert (await hub.wire.context(TOPIC))["context.type"] == ""


async def test_a_repeated_post_without_id_keeps_its_id(start_hub: StartHub) -> None:
    """D-28, D-49: the same request is not read as another one because of the ids given."""
    hub = await start_hub(dialects="post-without-id")
    socket = await hub.wire.join(TOPIC, ALL_EVENTS)
    await hub.wire.post(open_request())
    version = (await socket.followed())["event"]["context.versionId"]
    update = update_request(version, post(NAMELESS))
    first, again = [await hub.wire.post(update) for _ in range(2)]
    assert (first.status_code, first.json()) == (again.status_code, again.json())
    await socket.followed()
    await only_marker_comes(hub.wire, socket)


@pytest.mark.parametrize(
    "sent",
    [
        request("DiagnosticReport-open", item(STUDY)),
        request("DiagnosticReport-update", updates(post(OBSERVATION))),
        request("DiagnosticReport-update", item(REPORT), updates(post(OBSERVATION))),
    ],
)
async def test_the_dialects_are_off_by_default(start_hub: StartHub, sent: Json) -> None:
    """D-49: each is 400, and nothing is broadcast."""
    hub = await start_hub()
    socket = await hub.wire.join(TOPIC, ALL_EVENTS)
    await hub.wire.post(open_request())
    await socket.followed()
    assert (await hub.wire.post(sent)).status_code == 400
    await only_marker_comes(hub.wire, socket)


async def test_each_use_is_logged(start_hub: StartHub, caplog: pytest.LogCaptureFixture) -> None:
    """D-49, SEC-03: at info, without the patient."""
    caplog.set_level(logging.INFO, "fhircast_hub")
    hub = await start_hub(
        dialects="open-without-report,update-without-version,post-without-id", profile="ira"
    )
    await hub.wire.join(TOPIC, name="Viewer")
    await hub.wire.post(request("DiagnosticReport-open", item(STUDY), item(PATIENT)))
    await hub.wire.post(request("DiagnosticReport-update", updates(post(NAMELESS))))
    # Of the hub's own: in what the server says of ports, a record number can stand by chance.
    told = "\n".join(it.getMessage() for it in caplog.records if it.name.startswith("fhircast_hub"))
    for dialect in ("open-without-report", "update-without-version", "post-without-id"):
        assert f"dialect {dialect}" in told
    for secret in ("pt-1", "is-1", "441", TOPIC):
        assert secret not in told


FAULTY: dict[str, Json] = {
    "PROF-01": request("Patient-open", item({"resourceType": "Patient", "id": "secret-1"})),
    "PROF-04": request("Encounter-open", item(ENCOUNTER), item(PATIENT)),
    "PROF-05": request("ImagingStudy-open", item({"resourceType": "ImagingStudy", "id": "s"})),
    "PROF-08": request("DiagnosticReport-open", item({**REPORT, "status": ""}), item(PATIENT)),
    "PROF-09": request(
        "DiagnosticReport-open", *map(item, (REPORT, PATIENT, ENCOUNTER, ENCOUNTER))
    ),
    "EVT-16": request("Patient-open", item(PATIENT), {"key": "secret_note", "string": "secret-1"}),
}


@pytest.mark.parametrize("rule", FAULTY)
async def test_a_fault_of_a_profile_is_forwarded_and_logged(
    start_hub: StartHub, caplog: pytest.LogCaptureFixture, rule: str
) -> None:
    """D-31, PROF-01, PROF-04, PROF-05, PROF-08, PROF-09, EVT-16: unchanged, and without values."""
    caplog.set_level(logging.INFO, "fhircast_hub")
    hub = await start_hub()
    socket = await hub.wire.join(TOPIC, (*ALL_EVENTS, "Encounter-open"))
    assert (await hub.wire.post(FAULTY[rule])).status_code == 202
    assert (await socket.followed())["event"]["context"] == FAULTY[rule]["event"]["context"]
    assert rule in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.parametrize("rule", FAULTY)
async def test_a_fault_of_a_profile_is_refused_when_strict(start_hub: StartHub, rule: str) -> None:
    """D-31: 400 with the rule, nothing is broadcast; what is right passes."""
    hub = await start_hub(strict="profiles")
    socket = await hub.wire.join(TOPIC, ALL_EVENTS)
    answer = await hub.wire.post(FAULTY[rule])
    assert answer.status_code == 400
    assert "secret" not in answer.text
    await only_marker_comes(hub.wire, socket)
    assert (await hub.wire.post(open_request())).status_code == 202


@pytest.mark.parametrize(("strict", "status"), [("", 202), ("post", 400), ("profiles", 202)])
async def test_a_post_entry(start_hub: StartHub, strict: str, status: int) -> None:
    """CONT-12, D-05: read as PUT and forwarded unchanged, or refused by the switch."""
    hub = await start_hub(strict=strict)
    socket = await hub.wire.join(TOPIC, ALL_EVENTS)
    await hub.wire.post(open_request())
    version = (await socket.followed())["event"]["context.versionId"]
    update = update_request(version, post(OBSERVATION))
    assert (await hub.wire.post(update)).status_code == status
    if status == 202:
        assert (await socket.followed())["event"]["context"] == update["event"]["context"]
    else:
        await only_marker_comes(hub.wire, socket)


@pytest.mark.parametrize("allowed", ["1", "0"])
async def test_updates_of_another_than_the_current_context(
    start_hub: StartHub, allowed: str
) -> None:
    """CONT-23, WK-05: 202 or 4xx, and the well-known document says which."""
    hub = await start_hub(non_current_updates=allowed)
    socket = await hub.wire.join(TOPIC, ALL_EVENTS)
    await hub.wire.post(open_request())
    version = (await socket.followed())["event"]["context.versionId"]
    await hub.wire.post(patient_request(2))
    await socket.followed()
    answer = await hub.wire.post(update_request(version, post(OBSERVATION)))
    assert answer.status_code == (202 if allowed == "1" else 409)
    assert (await hub.wire.context(TOPIC))["context.type"] == "Patient"
    document = (await hub.wire.http.get(f"{hub.url}/.well-known/fhircast-configuration")).json()
    assert document["capabilities"] == {
        "supportsGetCurrentContext": True,
        "supportsNonCurrentContextUpdates": allowed == "1",
    }


async def test_a_large_event_does_not_fill_the_log(
    start_hub: StartHub, caplog: pytest.LogCaptureFixture
) -> None:
    """D-31: one line an event, however many faults it has."""
    caplog.set_level(logging.INFO, "fhircast_hub")
    hub = await start_hub()
    await hub.wire.join(TOPIC, ALL_EVENTS)
    studies = [item({"resourceType": "ImagingStudy", "id": f"s-{it}"}) for it in range(50)]
    await hub.wire.post(request("DiagnosticReport-open", item(REPORT), item(PATIENT), *studies))
    [line] = [it.getMessage() for it in caplog.records if "let pass" in it.getMessage()]
    assert line.count("PROF-05") == 8
    assert line.endswith("and 142 more")
