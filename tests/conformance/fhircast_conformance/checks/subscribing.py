"""Subscription request and response: section 2.4 of the standard, rows SUB."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fhircast_conformance.check import check, expect
from fhircast_conformance.messages import new_case

if TYPE_CHECKING:
    from fhircast_conformance.bench import Bench


@check("SUB-06", title="An event named twice, in any case, counts once")
async def repeated_events_count_once(bench: Bench) -> None:
    a = await bench.join("A", ["Patient-open", "patient-open"])
    confirmed = a.confirmation["hub.events"].lower().split(",")
    expect(confirmed.count("patient-open") == 1, f"the confirmation lists {confirmed}")
    event = new_case().opens_patient(bench.topic)
    await bench.publish(event)
    await bench.expect_frame(a, event)
    await bench.expect_silence(a, why="exactly one notification is due")
