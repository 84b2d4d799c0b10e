"""What each step of the core costs per event: `python tests/bench/core_costs.py`.

Prints microseconds of CPU, the minimum of several repeats, and bytes per idle subscription.
Patients are made up. A figure is for comparison on the same machine only, and never asserted.
"""

from __future__ import annotations

import gc
import sys
import time
import tracemalloc
from datetime import UTC, datetime
from itertools import cycle
from timeit import Timer
from typing import TYPE_CHECKING, Any

import msgspec
from fhircast_hub.protocol.channel import Channel, ChannelRules
from fhircast_hub.protocol.delivery import Deliveries
from fhircast_hub.protocol.derive import Derive
from fhircast_hub.protocol.judging import decide
from fhircast_hub.protocol.messages import (
    encode_confirmation,
    encode_notification,
    parse_notification,
    parse_response,
)
from fhircast_hub.protocol.session import Rules, Session
from fhircast_hub.protocol.subscription import (
    Subscription,
    narrow_events,
    parse_subscription_request,
)
from fhircast_hub.protocol.views import encode_current_context, replay

if TYPE_CHECKING:
    from collections.abc import Callable

    from fhircast_hub.protocol.messages import EventNotification

Json = dict[str, Any]

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
TOPIC = "5b1f2c1e-3c55-4b57-9d57-0a6f6f0c9b11"
RULES = Rules()
SUBSCRIBERS = 1000
EVENTS = (
    "Patient-open,Patient-close,Encounter-open,Encounter-close,ImagingStudy-open,"
    "ImagingStudy-close,DiagnosticReport-open,DiagnosticReport-close,DiagnosticReport-update,"
    "DiagnosticReport-select,SyncError,UserLogout"
)
REPEATS = 9


# What is sent


def text(size: int) -> str:
    """Made-up prose of a narrative."""
    return ("The lungs are clear. No effusion, no pneumothorax. " * (size // 50 + 1))[:size]


def message(event: str, context: list[Json], *, id: str = "e-0", version_id: str = "") -> bytes:
    versions = {"context.versionId": version_id} if version_id else {}
    return msgspec.json.encode(
        {
            "timestamp": "2026-03-02T12:00:00.000Z",
            "id": id,
            "event": {"hub.topic": TOPIC, "hub.event": event, **versions, "context": context},
        }
    )


def item(key: str, resource: Json) -> Json:
    return {"key": key, "resource": resource}


PATIENT: Json = {
    "resourceType": "Patient",
    "id": "pt-1",
    "identifier": [
        {
            "type": {
                "coding": [
                    {"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MR"}
                ]
            },
            "system": "urn:oid:2.999.1.5",
            "value": "441",
        }
    ],
    "name": [{"family": "Made", "given": ["Up", "By"]}],
    "gender": "female",
    "birthDate": "1970-01-01",
}
STUDY: Json = {
    "resourceType": "ImagingStudy",
    "id": "is-1",
    "status": "available",
    "subject": {"reference": "Patient/pt-1"},
    "started": "2026-03-02T10:00:00Z",
    "identifier": [
        {"system": "urn:dicom:uid", "value": "urn:oid:2.999.9.1"},
        {"type": {"coding": [{"code": "ACSN"}]}, "system": "urn:oid:2.999.1.6", "value": "GH1"},
    ],
}
REPORT: Json = {
    "resourceType": "DiagnosticReport",
    "id": "dr-1",
    "identifier": [{"system": "urn:oid:2.999.1.7", "value": "GH1.RPT1"}],
    "status": "unknown",
    "basedOn": [{"identifier": {"type": {"coding": [{"code": "ACSN"}]}, "value": "GH1"}}],
    "subject": {"reference": "Patient/pt-1"},
    "study": [{"reference": "ImagingStudy/is-1"}],
    "conclusion": text(700),
}
ANCHOR: Json = {"key": "report", "reference": {"reference": "DiagnosticReport/dr-1"}}


def observation(id: str) -> Json:
    return {
        "resourceType": "Observation",
        "id": id,
        "status": "preliminary",
        "subject": {"reference": "Patient/pt-1"},
        "code": {"coding": [{"system": "http://loinc.org", "code": "21889-1"}]},
        "valueQuantity": {"value": 8.2, "unit": "mm"},
    }


def bundle(*ids: str) -> Json:
    entries = [
        {"fullUrl": f"Observation/{it}", "request": {"method": "PUT"}, "resource": observation(it)}
        for it in ids
    ]
    return item("updates", {"resourceType": "Bundle", "type": "transaction", "entry": entries})


def long_patient(size: int) -> bytes:
    """A Patient-open with one long string, of this size."""
    plain = {"resourceType": "Patient", "id": "p1", "x": ""}
    short = len(message("Patient-open", [item("patient", plain)]))
    return message("Patient-open", [item("patient", {**plain, "x": "x" * (size - short)})])


LONG = long_patient(2048)
HUGE = long_patient(1_000_000)
OPEN = message(
    "DiagnosticReport-open",
    [item("report", REPORT), item("patient", PATIENT), item("study", STUDY)],
)
UPDATE = message(
    "DiagnosticReport-update",
    [ANCHOR, bundle(*(f"ob-{it}" for it in range(6)))],
    version_id="v-1",
)
SELECT = message(
    "DiagnosticReport-select",
    [
        ANCHOR,
        *({"key": "select", "reference": {"reference": f"Observation/ob-{it}"}} for it in "12"),
    ],
)
BIG_UPDATE = message(
    "DiagnosticReport-update",
    [ANCHOR, bundle(*(f"big-{it}" for it in range(10)))],
    version_id="v-1",
)
BODIES = {"Patient-open": LONG, "Report-open": OPEN, "update": UPDATE, "select": SELECT}


# What it is sent to


def seasoned() -> Session:
    """A session with as many remembered ids as it may have, and an open report."""
    session = Session(TOPIC, "v-0")
    for number in range(200):
        session = judged(session, parse_notification(OPEN.replace(b"e-0", b"s-%d" % number)))
    return session


def judged(session: Session, notification: EventNotification, version_id: str = "v-1") -> Session:
    return decide(session, notification, version_id=version_id, now=NOW, rules=RULES).session


def with_content(count: int) -> Session:
    """A session whose report has that many shared resources."""
    body = UPDATE.replace(b"e-0", b"filling")
    filled = msgspec.json.decode(body)
    filled["event"]["context"][1] = bundle(*(f"big-{it}" for it in range(count)))
    return judged(seasoned(), parse_notification(msgspec.json.encode(filled)))


def subscription(number: int) -> Subscription:
    form = (
        "hub.channel.type=websocket&hub.mode=subscribe&hub.topic="
        f"{TOPIC}&hub.events={EVENTS}&subscriber.name=Viewer-{number}"
    )
    request = parse_subscription_request(form.encode(), ira=False)
    return Subscription(
        topic=request.topic,
        endpoint_id=f"{number:032d}",
        events=narrow_events(request.events, lambda _key: True),
        lease_seconds=7200,
        subscriber_name=request.subscriber_name,
        subject="user|client",
        expires_at=NOW,
    )


def live_channels(count: int) -> list[Channel]:
    rules = ChannelRules()
    channels = [Channel(subscription(it), rules) for it in range(count)]
    for channel in channels:
        channel.connected(0)
        channel.replay([], 0, 0)
    return channels


# Measuring


def show(name: str, microseconds: float) -> None:
    sys.stdout.write(f"{name:<58}{microseconds:>10.2f} us\n")


def measure(name: str, step: Callable[[], object]) -> None:
    """Print the least CPU time of one call."""
    timer = Timer(step, timer=time.process_time)
    calls = max(1, int(0.01 / max(timer.timeit(3) / 3, 1e-7)))
    show(name, min(timer.repeat(REPEATS, calls)) / calls * 1e6)


def measure_parsing() -> None:
    for name, body in {**BODIES, "Patient-open 1 MB": HUGE}.items():
        measure(f"parse_notification {name} ({len(body)} B)", lambda: parse_notification(body))  # noqa: B023


def measure_judging() -> None:
    session = seasoned()
    for name, body in BODIES.items():
        notification = parse_notification(body)
        measure(f"decide {name}", lambda: judged(session, notification))  # noqa: B023
    update = parse_notification(BIG_UPDATE)
    for size in (10, 100, 1000, 10_000):
        filled = with_content(size)
        measure(f"decide update of 10 in {size} resources", lambda: judged(filled, update))  # noqa: B023


def measure_encoding() -> None:
    for name, body in {**BODIES, "Patient-open 1 MB": HUGE}.items():
        made = parse_notification(body).with_versions("v-2", "v-1")
        measure(f"encode_notification {name}", lambda: encode_notification(made, "patient-OPEN"))  # noqa: B023


def measure_delivering() -> None:
    """One event to many subscribers, each of which answers it."""
    channels = live_channels(SUBSCRIBERS)
    for name, body in (("Patient-open", LONG), ("update", UPDATE)):
        least_out = least_back = float("inf")
        for number in range(60):
            event_id = f"d-{name[:1]}{number}"
            made = parse_notification(body.replace(b"e-0", event_id.encode()))
            revision = channels[0]._revision + 1
            sets = name == "Patient-open"
            start = time.process_time()
            deliveries = Deliveries(made, sets_context=sets, derive=Derive.MISSING)
            for channel in channels:
                group = deliveries.to(channel.subscription)
                channel.deliver(group, revision=revision, now=1.0)
            least_out = min(least_out, time.process_time() - start)
            response = parse_response(f'{{"id":"{event_id}","status":"200"}}')
            assert response is not None
            start = time.process_time()
            for channel in channels:
                channel.responded(response)
            least_back = min(least_back, time.process_time() - start)
        show(f"Deliveries.to + Channel.deliver {name}, each", least_out / SUBSCRIBERS * 1e6)
        show(f"Channel.responded 200 {name}, each", least_back / SUBSCRIBERS * 1e6)


def measure_responses() -> None:
    for name, frame in {
        "usual": '{"id":"5b1f2c1e-3c55-4b57-9d57-0a6f6f0c9b11","status":"200"}',
        "spaced": '{ "status": 200,\n "id": "5b1f2c1e-3c55-4b57-9d57-0a6f6f0c9b11" }',
        "odd": '{"id":"e-1","status":"200","x":{"a":1}}',
    }.items():
        measure(f"parse_response {name}", lambda: parse_response(frame))  # noqa: B023
        other = cycle([frame.replace("0", str(it)) for it in range(5_000)])
        measure(f"parse_response {name}, the first", lambda: parse_response(next(other)))  # noqa: B023


def measure_joining() -> None:
    session = seasoned()
    form = f"hub.channel.type=websocket&hub.mode=subscribe&hub.topic={TOPIC}&hub.events={EVENTS}"
    request = parse_subscription_request(form.encode(), ira=False)
    rules = ChannelRules()
    record = subscription(0)
    measure(
        "parse_subscription_request", lambda: parse_subscription_request(form.encode(), ira=False)
    )
    measure("narrow_events", lambda: narrow_events(request.events, lambda _key: True))
    channel = live_channels(1)[0]
    measure("Channel.tick, idle", lambda: channel.tick(1))
    measure("encode_confirmation", lambda: encode_confirmation(TOPIC, record.events.values(), 7200))
    measure("Channel + connected", lambda: Channel(record, rules).connected(0))
    measure("replay", lambda: replay(session, lambda _name: True))
    measure("encode_current_context", lambda: encode_current_context(session, lambda _name: True))
    filled = with_content(1000)
    measure("the same, 1000 resources", lambda: encode_current_context(filled, lambda _name: True))


def measure_memory(count: int = 10_000) -> None:
    subscription(0)
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    kept = live_channels(count)
    gc.collect()
    size = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    sys.stdout.write(
        f"{'idle Channel + Unanswered + Subscription':<58}{size / len(kept):>10.0f} B\n"
    )


def main() -> None:
    measure_parsing()
    measure_judging()
    measure_encoding()
    measure_delivering()
    measure_responses()
    measure_joining()
    measure_memory()


if __name__ == "__main__":
    main()
