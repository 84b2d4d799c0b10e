"""Bad requests: each gets a 4xx in plain text, changes nothing, and no subscriber hears of it."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from builders import PATIENT, TOPIC, delete, item, observation, put
from raw_http import raw_connection
from wire_messages import (
    ALL_EVENTS,
    only_marker_comes,
    open_request,
    request,
    select_request,
    sync_error_request,
    update_request,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    import httpx
    from builders import Json
    from fhircast_conformance.wire import Socket
    from hub_server import RunningHub, StartHub


class Case(NamedTuple):
    """A session with one report open."""

    hub: RunningHub
    socket: Socket
    version: str

    async def refuses(self, answer: httpx.Response, *statuses: int) -> None:
        """Check the answer, and that nothing came of the request."""
        assert answer.status_code in (statuses or (400,)), answer.text
        assert answer.headers["content-type"].startswith("text/plain")
        assert answer.text.strip()
        await only_marker_comes(self.hub.wire, self.socket)


@pytest.fixture
async def opened(hub: RunningHub) -> Case:
    return await open_case(hub)


async def open_case(hub: RunningHub) -> Case:
    socket = await hub.wire.join(TOPIC, ALL_EVENTS, name="Viewer")
    await hub.wire.post(open_request())
    return Case(hub, socket, (await socket.followed())["event"]["context.versionId"])


def without(*path: str) -> Callable[[], Json]:
    """An open in which a field is missing."""

    def make() -> Json:
        value = open_request(2)
        inner: Any = value
        for name in path[:-1]:
            inner = inner[name]
        del inner[path[-1]]
        return value

    return make


def changed(name: str, new: Any, *, inside: bool = False) -> Callable[[], Json]:
    """An open in which a field has another value."""

    def make() -> Json:
        value = open_request(2)
        (value["event"] if inside else value)[name] = new
        return value

    return make


def body(event: str, *items: Json) -> Callable[[], Json]:
    return lambda: request(event, *items)


PATIENT_2 = {**PATIENT, "id": "pt-2"}
BAD_EVENTS: dict[str, Callable[[], Json]] = {
    "no timestamp": without("timestamp"),
    "no id": without("id"),
    "no event": without("event"),
    "no topic": without("event", "hub.topic"),
    "no event name": without("event", "hub.event"),
    "no context": without("event", "context"),
    "timestamp that is none": changed("timestamp", "2026-03-02T010:38"),
    "timestamp of another type": changed("timestamp", 5),
    "timestamp far ahead": changed("timestamp", "2999-01-01T00:00:00Z"),
    "empty id": changed("id", ""),
    "id that is a number": changed("id", 7),
    "id without end": changed("id", "x" * 100_000),
    "event that is a string": changed("event", "Patient-open"),
    "context that is an object": changed("context", {}, inside=True),
    "context with a string": changed("context", ["x"], inside=True),
    "item without key": changed("context", [{"resource": PATIENT_2}], inside=True),
    "unknown topic": changed("hub.topic", "unknown", inside=True),
    "wildcard": changed("hub.event", "*-open", inside=True),
    "unknown resource type": body("Foo-open", item({"resourceType": "Foo", "id": "f"}, "foo")),
    "unknown suffix": changed("hub.event", "Patient-zap", inside=True),
    "bare name": changed("hub.event", "thing", inside=True),
    "dash in a name of one's own": changed("hub.event", "org.example-thing", inside=True),
    "anchor missing": body("Patient-open"),
    "anchor under an upper-case key": body("Patient-open", item(PATIENT_2, "Patient")),
    "anchor twice": body("Patient-open", item(PATIENT_2), item(PATIENT_2)),
    "anchor of another type": body("DiagnosticReport-open", item(PATIENT_2, "report")),
    "anchor under value": body("Patient-open", {"key": "patient", "value": PATIENT_2}),
    "anchor without id": body("Patient-open", item({"resourceType": "Patient"})),
    "anchor without type": body("Patient-open", {"key": "patient", "resource": {"id": "x"}}),
    "resource that is a string": body("Patient-open", {"key": "patient", "resource": "x"}),
    "open by reference": body(
        "Patient-open", {"key": "patient", "reference": {"reference": "Patient/pt-2"}}
    ),
}


@pytest.mark.parametrize("name", BAD_EVENTS)
async def test_a_bad_event_changes_nothing(opened: Case, name: str) -> None:
    """EVT-02, EVT-03, EVT-09, EVT-12 to EVT-15, GEN-05, SUB-07, D-27: 400, nobody hears of it."""
    before = await opened.hub.wire.context(TOPIC)
    await opened.refuses(await opened.hub.wire.post(BAD_EVENTS[name]()))
    assert await opened.hub.wire.context(TOPIC) == before


BAD_BODIES = {
    "empty": b"",
    "half": json.dumps(open_request(2)).encode()[:-1],
    "two values": b"{} {}",
    "not UTF-8": b'{"id":"\xff"}',
    "number": b"1",
    "null": b"null",
    "array": b"[]",
    "NaN": b'{"id":NaN}',
    "deep": b'{"event":{"context":' + b"[" * 100_000 + b"]" * 100_000 + b"}}",
}


@pytest.mark.parametrize("name", BAD_BODIES)
async def test_a_body_that_is_no_message(opened: Case, name: str) -> None:
    """GEN-01, EVT-03: 400 whatever the bytes are."""
    await opened.refuses(await opened.hub.wire.post(BAD_BODIES[name]))


OBSERVATION = put(observation("ob-1"))
BAD_ENTRIES: dict[str, Json] = {
    "no request": {"fullUrl": "Observation/ob-2", "resource": observation("ob-2")},
    "unknown method": {**OBSERVATION, "request": {"method": "PATCH", "url": "Observation/ob-1"}},
    "no resource": {k: v for k, v in OBSERVATION.items() if k != "resource"},
    "no id": put({"resourceType": "Observation", "id": "x"})
    | {"resource": {"resourceType": "Observation"}},
    "no type": OBSERVATION | {"resource": {"id": "ob-2"}},
    "resource that is a string": OBSERVATION | {"resource": "x"},
    "delete without a url": {"request": {"method": "DELETE"}},
    "delete of the patient": delete("Patient/pt-1"),
    "an array": [],  # type: ignore[dict-item]  # bad on purpose
}


@pytest.mark.parametrize("name", BAD_ENTRIES)
async def test_one_bad_entry_rejects_the_whole_update(opened: Case, name: str) -> None:
    """2.10, CONT-*: none of the entries is applied, and the version stays."""
    before = await opened.hub.wire.context(TOPIC)
    good = put(observation("ob-9"))
    update = update_request(opened.version, good, BAD_ENTRIES[name], good)
    await opened.refuses(await opened.hub.wire.post(update))
    assert await opened.hub.wire.context(TOPIC) == before


@pytest.mark.parametrize("version", ["", "stale"])
async def test_an_update_needs_the_newest_version(opened: Case, version: str) -> None:
    """CONT-03, D-42: a missing one is 400, another one 409; nothing is applied."""
    before = await opened.hub.wire.context(TOPIC)
    update = update_request(version, OBSERVATION)
    await opened.refuses(await opened.hub.wire.post(update), 409 if version else 400)
    assert await opened.hub.wire.context(TOPIC) == before


@pytest.mark.parametrize("number", [2, 3])
async def test_a_report_that_is_not_open(opened: Case, number: int) -> None:
    """D-29: update and select of it are 409."""
    update = update_request(opened.version, OBSERVATION, number=number)
    await opened.refuses(await opened.hub.wire.post(update), 409)
    select = select_request("Observation/ob-1", number=number)
    await opened.refuses(await opened.hub.wire.post(select), 409)


async def test_another_patient_under_an_open_report(opened: Case) -> None:
    """D-11: a silent swap of the patient is 409."""
    before = await opened.hub.wire.context(TOPIC)
    swap = open_request()
    swap["event"]["context"][1] = item(PATIENT_2)
    await opened.refuses(await opened.hub.wire.post(swap), 409)
    assert await opened.hub.wire.context(TOPIC) == before


async def test_ira_wants_a_report_with_patient_and_study(start_hub: StartHub) -> None:
    """IRA-HUB-07, RAD-148: an open without one of them is 400, and not broadcast."""
    opened = await open_case(await start_hub(profile="ira"))
    for left_out in range(3):
        incomplete = open_request(2)
        del incomplete["event"]["context"][left_out]
        await opened.refuses(await opened.hub.wire.post(incomplete))


@pytest.mark.parametrize("profile", ["base", "ira"])
async def test_a_sync_error_without_an_outcome(start_hub: StartHub, profile: str) -> None:
    """RAD-156: 400 without an operationoutcome."""
    opened = await open_case(await start_hub(profile=profile))
    bad = sync_error_request("e-1")
    bad["event"]["context"] = []
    await opened.refuses(await opened.hub.wire.post(bad))


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/xml", "", "multipart/form-data"]
)
async def test_another_content_type(opened: Case, content_type: str) -> None:
    """SUB-01, OLD-02: 415, even if the body would be fine."""
    answer = await opened.hub.wire.post(open_request(2), Content_Type=content_type)
    await opened.refuses(answer, 415)


async def test_a_form_sent_as_json(opened: Case) -> None:
    """SUB-01: the fields of a subscription in JSON make none."""
    fields: Json = {"hub.mode": "subscribe", "hub.topic": "t", "hub.channel.type": "websocket"}
    await opened.refuses(await opened.hub.wire.post(fields))
    assert (await opened.hub.wire.get("t")).status_code == 404


def oversize() -> Json:
    large = copy.deepcopy(open_request(2))
    large["event"]["context"].append({"key": "note", "string": "x" * 5000})
    return large


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_that_is_too_large(start_hub: StartHub, chunked: bool) -> None:
    """CONT-19: 413, announced or in chunks without an announcement."""
    opened = await open_case(await start_hub(max_event_bytes="4096"))
    content = json.dumps(oversize()).encode()

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(content), 500):
            yield content[start : start + 500]

    answer = await opened.hub.wire.http.post(
        opened.hub.url,
        content=chunks() if chunked else content,
        headers={"Content-Type": "application/json"},
    )
    assert ("transfer-encoding" in answer.request.headers) is chunked
    await opened.refuses(answer, 413)


@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
async def test_the_refusal_of_a_large_body_arrives_before_the_close(
    hub: RunningHub, version: bytes
) -> None:
    """CONT-19: also at a proxy that uses a connection once and still has most of the body."""
    head = b"POST /api/hub HTTP/%b\r\nHost: hub\r\nConnection: close\r\n" % version
    head += b"Content-Type: application/json\r\nContent-Length: 4000000\r\n\r\n"
    async with raw_connection(hub) as connection:
        await connection.send(head + b" " * 4_000_000)
        assert (await connection.answer()).status == 413


async def test_a_large_body_within_the_bound_in_chunks(opened: Case) -> None:
    """CONT-19, EVT-18: how it is sent makes no difference."""
    large = oversize()
    content = json.dumps(large).encode()

    async def chunks() -> AsyncIterator[bytes]:
        yield content[:100]
        yield content[100:]

    answer = await opened.hub.wire.http.post(
        opened.hub.url, content=chunks(), headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 202
    assert (await opened.socket.next())["event"]["context"] == large["event"]["context"]


async def test_open_contexts_are_bounded(start_hub: StartHub) -> None:
    """TAB-01: one more is 429 with Retry-After; closing one makes room."""
    opened = await open_case(await start_hub(max_open_contexts="1"))
    answer = await opened.hub.wire.post(open_request(2))
    assert answer.headers["retry-after"] == "10"
    await opened.refuses(answer, 429)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
async def test_another_method(opened: Case, method: str) -> None:
    """HTTP: 405."""
    await opened.refuses(await opened.hub.wire.http.request(method, opened.hub.url), 405)


@pytest.mark.parametrize("secret", ["Smith-Jones", "4438001"])
async def test_no_answer_repeats_what_was_sent(opened: Case, secret: str) -> None:
    """House rule: an error names fields, never patients."""
    for name in ("timestamp", "id", "event"):
        bad = request("Patient-open", item({**PATIENT_2, "name": [{"family": secret}]}))
        bad[name] = [secret]
        answer = await opened.hub.wire.post(bad)
        assert answer.status_code == 400
        assert secret not in answer.text
