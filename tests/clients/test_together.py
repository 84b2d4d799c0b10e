"""All of them in one reading session, beside a conforming subscriber."""

from __future__ import annotations

from typing import TYPE_CHECKING

from builders import TOPIC, case, item, observation, put
from clients.medplum import Medplum
from clients.ohif import Ohif
from clients.powercast import PowerCast
from clients.rad_ai import RadAi
from wire_messages import close_request, open_request, patient_request, update_request

if TYPE_CHECKING:
    from clients.conftest import ComeIn, MeetNeighbour
    from clients.field_client import FieldClient
    from hub_server import RunningHub


async def test_one_session_for_all(
    hub: RunningHub, come_in: ComeIn, meet_neighbour: MeetNeighbour
) -> None:
    """EVT-01, EVT-04, D-41, D-47: each gets its own events, once and in the one order of the topic.

    The conforming subscriber hears of no trouble.
    """
    neighbour = await meet_neighbour(hub.origin)
    medplum = await come_in(Medplum(hub.origin, TOPIC))
    ohif = await come_in(Ohif(hub.origin, TOPIC))
    rad_ai = await come_in(RadAi(hub.origin, TOPIC))
    powercast = await come_in(PowerCast(hub.origin, TOPIC))
    await medplum.join()
    await ohif.subscribe()
    await rad_ai.join()
    await powercast.join()
    sent = [patient_request(1), open_request(1)]
    versions = [await neighbour.shares(message) for message in sent]
    sent.append(update_request(versions[-1], put(observation("ob-1"))))
    await neighbour.shares(sent[-1])
    answers = [
        await medplum.publish("DiagnosticReport-open", *map(item, case(2))),
        await powercast.publish("DiagnosticReport-open", *map(item, case(3))),
        await ohif.publish("DiagnosticReport-close", *map(item, case(3))),
    ]
    ids = [message["id"] for message in sent] + [it.json()["id"] for it in answers]
    assert [(await neighbour.next_event())["id"] for _ in answers] == ids[3:]
    last = close_request(2)
    await neighbour.shares(last)
    ids.append(last["id"])
    patient, *reports = ids
    opens_and_updates = [patient, *reports[:4]]
    expected: list[tuple[FieldClient, list[str]]] = [
        (medplum, reports),
        (ohif, [it for it in ids if it != answers[2].json()["id"]]),
        (rad_ai, opens_and_updates),
        (powercast, reports),
    ]
    for client, events in expected:
        assert [(await client.next_event())["id"] for _ in events] == events
    await neighbour.nothing_but_a_marker_comes(ohif, powercast)
