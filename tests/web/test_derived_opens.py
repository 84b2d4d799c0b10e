"""Derived opens on the wire (2.5): subscribers of one topic that asked for different events."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from builders import TOPIC, case, item
from wire_messages import (
    ALL_EVENTS,
    close_request,
    codings,
    only_marker_comes,
    open_request,
    patient_request,
    request,
)

if TYPE_CHECKING:
    from builders import Json
    from fhircast_conformance.wire import Socket
    from hub_server import RunningHub, StartHub

PATIENT_ONLY = ("Patient-open", "Patient-close", "org.example.marker")


async def all_and_patient(hub: RunningHub) -> tuple[Socket, Socket]:
    """A subscriber of everything, and one of patients."""
    return await hub.wire.join(TOPIC, ALL_EVENTS), await hub.wire.join(TOPIC, PATIENT_ONLY)


async def accepted(hub: RunningHub, event: Json) -> Json:
    answer = await hub.wire.post(event)
    assert answer.status_code == 202, answer.text
    return event


async def test_a_report_opens_its_patient_for_who_does_not_know_reports(hub: RunningHub) -> None:
    """DER-01, DER-04, EVT-08: new id, the moment of the source, its own key, no version."""
    everything, patient_only = await all_and_patient(hub)
    sent = await accepted(hub, open_request())
    derived = await patient_only.followed()
    assert derived["id"] != sent["id"]
    assert derived["timestamp"] == sent["timestamp"]
    assert derived["event"] == {
        "hub.topic": TOPIC,
        "hub.event": "Patient-open",
        "context": [item(case(1)[1])],
    }
    assert (await everything.followed())["id"] == sent["id"]
    await only_marker_comes(hub.wire, everything, patient_only)


async def test_no_duplicates(hub: RunningHub) -> None:
    """DER-02: the patient once, whether requested or derived; a tab switch is news again."""
    _, patient_only = await all_and_patient(hub)
    first = await accepted(hub, patient_request(1))
    await accepted(hub, open_request(1))
    assert (await patient_only.followed())["id"] == first["id"]
    await only_marker_comes(hub.wire, patient_only)
    for number in (2, 1):
        await accepted(hub, open_request(number))
        frame = await patient_only.followed()
        assert frame["event"]["context"] == [item(case(number)[1])]
    await only_marker_comes(hub.wire, patient_only)


async def test_a_close_is_not_derived_and_ends_what_was(hub: RunningHub) -> None:
    """DER-04, REP-04, CTX-04: no Patient-close; who joins later gets no stale patient."""
    _, patient_only = await all_and_patient(hub)
    await accepted(hub, open_request())
    derived = await patient_only.followed()
    late = await hub.wire.join(TOPIC, PATIENT_ONLY)
    assert await late.followed() == derived, "the derived id already used (REP-03)"
    await accepted(hub, close_request())
    later = await hub.wire.join(TOPIC, PATIENT_ONLY)
    await only_marker_comes(hub.wire, patient_only, late, later)


async def test_a_derived_open_never_moves_the_current_context(hub: RunningHub) -> None:
    """D-15, IRA-HUB-21."""
    _, patient_only = await all_and_patient(hub)
    await accepted(hub, open_request())
    await patient_only.followed()
    assert (await hub.wire.context(TOPIC))["context.type"] == "DiagnosticReport"


async def test_a_refused_derived_open_is_named_and_comes_with_the_resend(hub: RunningHub) -> None:
    """ACK-03, SYNC-04, SYNC-12, D-28: the SyncError names the derived event; the source resends."""
    everything, patient_only = await all_and_patient(hub)
    sent = await accepted(hub, open_request())
    await everything.followed()
    derived = await patient_only.next()
    await patient_only.acknowledge(derived, "409")
    said = codings(await everything.followed())
    assert (said["eventid"], said["eventname"]) == (derived["id"], "Patient-open")
    await accepted(hub, sent)
    assert await patient_only.followed() == derived
    assert (await everything.followed())["id"] == sent["id"]
    await only_marker_comes(hub.wire, everything, patient_only)


async def test_a_re_subscribe_that_asks_for_patients_gets_the_patient(hub: RunningHub) -> None:
    """D-12, D-13: the derived open is an open context like any other."""
    socket = await hub.wire.join(TOPIC, ["org.example.marker"])
    await accepted(hub, open_request())
    await hub.wire.subscribe(TOPIC, PATIENT_ONLY, hub__channel__endpoint=socket.endpoint)
    await socket.confirmed()
    assert (await socket.followed())["event"]["context"] == [item(case(1)[1])]
    await only_marker_comes(hub.wire, socket)


async def test_home_is_shown_and_the_same_patient_after_it(hub: RunningHub) -> None:
    """D-21, DER-02."""
    socket = await hub.wire.join(TOPIC, ["Patient-open", "Home-open"])
    events = [open_request(1), request("Home-open"), open_request(1)]
    for event in events:
        await accepted(hub, event)
    names = [(await socket.followed())["event"]["hub.event"] for _ in events]
    assert names == ["Patient-open", "Home-open", "Patient-open"]


async def test_everybody_gets_derived_opens_if_the_site_wants_it(start_hub: StartHub) -> None:
    """D-14: the literal reading; the source comes last."""
    hub = await start_hub(derive="all")
    everything = await hub.wire.join(TOPIC, ALL_EVENTS)
    await accepted(hub, open_request())
    names = [(await everything.followed())["event"]["hub.event"] for _ in range(3)]
    assert names == ["Patient-open", "ImagingStudy-open", "DiagnosticReport-open"]
    await only_marker_comes(hub.wire, everything)


async def test_an_open_without_a_report_is_translated_too(start_hub: StartHub) -> None:
    """D-49, DER-01, DER-04: patient and study of the dialect's open; gone with its close."""
    hub = await start_hub(dialects="open-without-report")
    events = ["Patient-open", "ImagingStudy-open", "org.example.marker"]
    await hub.wire.join(TOPIC, ALL_EVENTS)
    partly = await hub.wire.join(TOPIC, events)
    _, patient, study = map(item, case(1))
    await accepted(hub, request("DiagnosticReport-open", patient, study))
    names = [(await partly.followed())["event"]["hub.event"] for _ in range(2)]
    assert names == ["Patient-open", "ImagingStudy-open"]
    await accepted(hub, request("DiagnosticReport-close", study))
    await only_marker_comes(hub.wire, partly, await hub.wire.join(TOPIC, events))


@pytest.mark.parametrize("setting", [{"derive": "off"}, {"common_events": "1"}])
async def test_other_events_than_the_others_have_are_refused(
    start_hub: StartHub, setting: dict[str, str]
) -> None:
    """SUB-16, DER-03: 403 with a text; the order and the spelling do not matter."""
    hub = await start_hub(**setting)
    first = await hub.wire.join(TOPIC, ALL_EVENTS)
    answer = await hub.wire.subscribe(TOPIC, PATIENT_ONLY)
    assert answer.status_code == 403
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.text.startswith("hub.events: ")
    same = await hub.wire.join(TOPIC, [it.lower() for it in reversed(ALL_EVENTS)])
    await hub.wire.join("another topic", PATIENT_ONLY)
    await hub.wire.unsubscribe(TOPIC, same.endpoint)
    again = await hub.wire.subscribe(TOPIC, PATIENT_ONLY, hub__channel__endpoint=first.endpoint)
    assert again.status_code == 202, "a lone subscriber may change its events"


async def test_without_derived_opens_nothing_is_derived(start_hub: StartHub) -> None:
    """DER-03: neither as event nor as replay."""
    hub = await start_hub(derive="off")
    first = await hub.wire.join(TOPIC, PATIENT_ONLY)
    await accepted(hub, open_request())
    await only_marker_comes(hub.wire, first, await hub.wire.join(TOPIC, PATIENT_ONLY))
