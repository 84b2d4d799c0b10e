"""Scopes at every place where an event could come out, or get in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from builders import OBSERVATION, REPORT, TOPIC, put
from issuing import signed
from wire_messages import only_marker_comes, open_request, patient_request, update_request

if TYPE_CHECKING:
    from fhircast_conformance.wire import Wire
    from hub_server import RunningHub, StartHub

KEY = "a key for tests only, 32 characters and more"
MARKER = "fhircast/org.example.marker.read"


@pytest.fixture
async def hub(start_hub: StartHub) -> RunningHub:
    return await start_hub(auth="jwt", jwt_key=KEY)


async def client(hub: RunningHub, scope: str, client_id: str = "viewer") -> Wire:
    return await hub.client(signed(KEY, "HS256", client_id=client_id, scope=scope))


@pytest.mark.parametrize(
    ("scope", "granted"),
    [
        ("fhircast/*.read", {"Patient-open", "patient-CLOSE"}),
        ("fhircast/*.*", {"Patient-open", "patient-CLOSE"}),
        ("fhircast/Patient-open.*", {"Patient-open"}),
        ("fhircast/PATIENT-OPEN.read fhircast/Patient-close.write", {"Patient-open"}),
        ("fhircast/patient-close.read", {"patient-CLOSE"}),
    ],
)
async def test_a_subscription_gets_what_may_be_read(
    hub: RunningHub, scope: str, granted: set[str]
) -> None:
    """SCO-01, SCO-02, CONF-02, GEN-03: wildcards and names without case."""
    wire = await client(hub, scope)
    socket = await wire.join(TOPIC, ["Patient-open", "patient-CLOSE"])
    assert set(socket.confirmation["hub.events"].split(",")) == granted


@pytest.mark.parametrize(
    ("scope", "status"),
    [
        ("fhircast/*.write", 202),
        ("fhircast/*.*", 202),
        ("fhircast/PATIENT-open.write", 202),
        ("fhircast/Patient-open.*", 202),
        ("fhircast/*.read", 403),
        ("fhircast/Patient-*.write", 403),
        ("fhircast/Patient-close.write", 403),
        ("patient/Patient-open.write", 403),
        ("fhircast/Patient-open.readwrite", 403),
    ],
)
async def test_a_request_needs_its_write_scope(hub: RunningHub, scope: str, status: int) -> None:
    """SCO-01, SCO-03, GEN-03."""
    await (await client(hub, "fhircast/*.*")).subscribe(TOPIC)
    assert (await (await client(hub, scope)).post(patient_request())).status_code == status


async def test_a_report_reaches_nobody_who_may_not_read_it(hub: RunningHub) -> None:
    """EVT-19, SCO-02: neither as replay nor as event, and what is derived only where allowed."""
    sender = await client(hub, "fhircast/*.*", "sender")
    await sender.subscribe(TOPIC)
    await sender.post(open_request(1))
    reader = await client(hub, f"fhircast/ImagingStudy-open.read {MARKER}")
    asked = ["DiagnosticReport-open", "Patient-open", "ImagingStudy-open", "org.example.marker"]
    socket = await reader.join(TOPIC, asked)
    assert (await socket.next())["event"]["hub.event"] == "ImagingStudy-open"
    await sender.post(open_request(2))
    assert (await socket.followed())["event"]["hub.event"] == "ImagingStudy-open"
    await only_marker_comes(sender, socket)


async def test_a_get_shows_no_content_to_who_may_not_read_updates(hub: RunningHub) -> None:
    """CTX-08, SCO-02, D-33: the report as it was opened, and an empty Bundle."""
    sender = await client(hub, "fhircast/*.*", "sender")
    await sender.subscribe(TOPIC)
    version = (await sender.post(open_request())).json()["context.versionId"]
    final = {**REPORT, "status": "final"}
    answer = await sender.post(update_request(version, put(OBSERVATION), put(final)))
    assert answer.status_code == 202
    reader = await client(hub, "fhircast/DiagnosticReport-open.read")
    view = await reader.context(TOPIC)
    shown = {it["key"]: it["resource"] for it in view["context"]}
    assert shown["report"]["status"] == "unknown"
    assert "entry" not in shown["content"]
    full = await (await client(hub, "fhircast/*.read")).context(TOPIC)
    assert len(full["context"][-1]["resource"]["entry"]) == 2
    assert full["context.versionId"] == view["context.versionId"]


@pytest.mark.parametrize("scope", ["", "fhircast/*.write", "fhircast/Patient-close.read"])
async def test_a_get_shows_nothing_without_a_read_scope(hub: RunningHub, scope: str) -> None:
    """CTX-08, SCO-02."""
    sender = await client(hub, "fhircast/*.*", "sender")
    await sender.subscribe(TOPIC)
    await sender.post(open_request())
    view = await (await client(hub, scope)).context(TOPIC)
    assert (view["context.type"], view["context"]) == ("", [])
