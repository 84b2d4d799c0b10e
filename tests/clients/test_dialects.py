"""What deployed clients send and no text allows, on a hub whose site lets it through."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from builders import TOPIC, case, item, observation, put
from clients.ohif import Ohif
from clients.rad_ai import RadAi
from wire_messages import close_request, open_request, request, update_request

if TYPE_CHECKING:
    from clients.conftest import ComeIn, MeetNeighbour
    from hub_server import StartHub


async def test_its_measurement_is_shared_under_the_dialects(
    start_hub: StartHub, come_in: ComeIn, meet_neighbour: MeetNeighbour
) -> None:
    """D-49: it changes the current report; the neighbour gets both versions, so misses nothing."""
    hub = await start_hub(dialects="update-without-version,post-without-id")
    neighbour = await meet_neighbour(hub.origin)
    ohif = await come_in(Ohif(hub.origin, TOPIC))
    await ohif.subscribe()
    version = await neighbour.shares(open_request(1))
    answer = await ohif.publish_measurement("m-1")
    assert answer.status_code == 202, answer.text
    event = (await neighbour.next_event())["event"]
    assert event["context.priorVersionId"] == version
    assert event["context.versionId"] == answer.json()["context.versionId"]
    view = await ohif.get_context()
    shared = [it["resource"] for it in view["context"][-1]["resource"]["entry"]]
    assert [f"{it['resourceType']}/{it['id']}" for it in shared] == [
        "ImagingStudy/m-1",
        "Observation/m-1",
        "ImagingSelection/m-1",
    ]
    await neighbour.nothing_but_a_marker_comes()


async def test_it_cannot_change_what_is_not_open(start_hub: StartHub, come_in: ComeIn) -> None:
    """D-49, D-29: a measurement without a current report is refused, under the dialect too."""
    hub = await start_hub(dialects="update-without-version")
    ohif = await come_in(Ohif(hub.origin, TOPIC))
    await ohif.subscribe()
    assert (await ohif.publish_measurement("m-1")).status_code == 409


async def test_an_open_without_report_opens_its_study(
    start_hub: StartHub, come_in: ComeIn, meet_neighbour: MeetNeighbour
) -> None:
    """D-49: broadcast as it came; a late joiner and a GET get it; the type is the event's."""
    hub = await start_hub(dialects="open-without-report")
    neighbour = await meet_neighbour(hub.origin)
    rad_ai = await come_in(RadAi(hub.origin, TOPIC))
    await rad_ai.join()
    _, patient, study = case(1)
    answer = await rad_ai.publish_open(item(patient), item(study))
    assert answer.status_code == 202, answer.text
    event = (await neighbour.next_event())["event"]
    assert event["hub.event"] == "DiagnosticReport-open"
    assert event["context"] == [item(patient), item(study)]
    assert event["context.versionId"] == answer.json()["context.versionId"]
    view = await hub.wire.context(TOPIC)
    assert (view["context.type"], view["context"][:2]) == ("DiagnosticReport", event["context"])
    late = await meet_neighbour(hub.origin, "Late")
    assert (await late.next_event())["id"] == answer.json()["id"]


async def test_a_close_of_the_study_ends_it(
    start_hub: StartHub, come_in: ComeIn, meet_neighbour: MeetNeighbour
) -> None:
    """D-49: a DiagnosticReport-close that names the study and no report."""
    hub = await start_hub(dialects="open-without-report")
    neighbour = await meet_neighbour(hub.origin)
    rad_ai = await come_in(RadAi(hub.origin, TOPIC))
    _, patient, study = case(1)
    await rad_ai.publish_open(item(patient), item(study))
    closing = request("DiagnosticReport-close", item(patient), item(study))
    assert (await neighbour.publish(closing)).status_code == 202
    assert (await hub.wire.context(TOPIC))["context.type"] == ""


async def test_a_close_of_a_report_of_the_study_ends_it(
    start_hub: StartHub, come_in: ComeIn, meet_neighbour: MeetNeighbour
) -> None:
    """D-49: the reporting application closes by the report it made, and names no study."""
    hub = await start_hub(dialects="open-without-report")
    neighbour = await meet_neighbour(hub.origin)
    rad_ai = await come_in(RadAi(hub.origin, TOPIC))
    report, patient, study = case(1)
    await rad_ai.publish_open(item(patient), item(study))
    closing = request("DiagnosticReport-close", item(report), item(patient))
    assert (await neighbour.publish(closing)).status_code == 202
    assert (await hub.wire.context(TOPIC))["context.type"] == ""


async def test_a_close_of_another_study_ends_nothing(
    start_hub: StartHub, come_in: ComeIn, meet_neighbour: MeetNeighbour
) -> None:
    """D-49: the study counts, not that there is one."""
    hub = await start_hub(dialects="open-without-report")
    neighbour = await meet_neighbour(hub.origin)
    rad_ai = await come_in(RadAi(hub.origin, TOPIC))
    _, patient, study = case(1)
    await rad_ai.publish_open(item(patient), item(study))
    await neighbour.publish(close_request(2))
    assert (await hub.wire.context(TOPIC))["context.type"] == "DiagnosticReport"


async def test_its_update_changes_the_current_report(
    start_hub: StartHub, come_in: ComeIn, meet_neighbour: MeetNeighbour
) -> None:
    """D-49: no report named, no version: the current ones; the neighbour goes on from there."""
    hub = await start_hub(dialects="update-without-version")
    neighbour = await meet_neighbour(hub.origin)
    rad_ai = await come_in(RadAi(hub.origin, TOPIC))
    version = await neighbour.shares(open_request(1))
    answer = await rad_ai.publish_update("partial")
    assert answer.status_code == 202, answer.text
    event = (await neighbour.next_event())["event"]
    assert event["context.priorVersionId"] == version
    stale = await neighbour.publish(update_request(version, put(observation("ob-1"))))
    assert stale.status_code == 409
    await neighbour.shares(update_request(event["context.versionId"], put(observation("ob-1"))))


async def test_a_post_without_id_gets_one(
    start_hub: StartHub, come_in: ComeIn, meet_neighbour: MeetNeighbour
) -> None:
    """D-49: a UUID, the same one for every subscriber and in GET; else as it came."""
    hub = await start_hub(dialects="post-without-id")
    neighbour = await meet_neighbour(hub.origin)
    ohif = await come_in(Ohif(hub.origin, TOPIC))
    await ohif.subscribe()
    version = await neighbour.shares(open_request(1))
    nameless = {key: it for key, it in observation("ob-1").items() if key != "id"}
    entry = {"request": {"method": "POST"}, "resource": nameless}
    assert (await neighbour.publish(update_request(version, entry))).status_code == 202
    await ohif.next_event()
    told = [await neighbour.next_event(), await ohif.next_event()]
    bundles = [it["event"]["context"][1]["resource"]["entry"] for it in told]
    view = await ohif.get_context()
    (shared,) = [it["resource"] for it in view["context"][-1]["resource"]["entry"]]
    UUID(shared["id"])
    assert bundles == [[{**entry, "resource": shared}]] * 2
    assert shared == {**nameless, "id": shared["id"]}


async def test_a_measurement_in_a_report_less_context(
    start_hub: StartHub, come_in: ComeIn, meet_neighbour: MeetNeighbour
) -> None:
    """D-49: both dialects at once: OHIF measures in what Rad AI opened, and the version goes on."""
    hub = await start_hub(dialects="open-without-report,update-without-version")
    neighbour = await meet_neighbour(hub.origin)
    rad_ai = await come_in(RadAi(hub.origin, TOPIC))
    ohif = await come_in(Ohif(hub.origin, TOPIC))
    await ohif.subscribe()
    _, patient, study = case(1)
    opened = await rad_ai.publish_open(item(patient), item(study))
    await neighbour.next_event()
    answer = await ohif.publish_measurement("m-1")
    assert answer.status_code == 202, answer.text
    event = (await neighbour.next_event())["event"]
    assert event["context.priorVersionId"] == opened.json()["context.versionId"]
    assert event["context.versionId"] == answer.json()["context.versionId"]
    assert len((await ohif.get_context())["context"][-1]["resource"]["entry"]) == 3
