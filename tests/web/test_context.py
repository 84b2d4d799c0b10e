"""GET of the current context, the well-known document, and what browsers may see."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from builders import TOPIC, bundle, case, item, observation, put
from wire_messages import (
    close_request,
    open_request,
    patient_request,
    request,
    select_request,
    update_request,
)

if TYPE_CHECKING:
    from builders import Json
    from hub_server import RunningHub, StartHub


async def posted(hub: RunningHub, event: Json) -> str:
    """Post an event that is accepted; return its version."""
    answer = await hub.wire.post(event)
    assert answer.status_code == 202, answer.text
    return str(answer.json().get("context.versionId", ""))


async def test_nothing_open(hub: RunningHub) -> None:
    """CTX-05, D-32: empty type and context, and a version."""
    await hub.wire.join(TOPIC)
    answer = await hub.wire.get(TOPIC)
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    view = answer.json()
    assert view == {
        "context.type": "",
        "context.versionId": view["context.versionId"],
        "context": [],
    }


async def test_the_open_and_its_content(hub: RunningHub) -> None:
    """CTX-02 to CTX-07: type, newest version, the items as opened, then the content Bundle."""
    await hub.wire.join(TOPIC)
    version = await posted(hub, open_request())
    version = await posted(hub, update_request(version, put(observation("ob-1"))))
    view = await hub.wire.context(TOPIC)
    assert (view["context.type"], view["context.versionId"]) == ("DiagnosticReport", version)
    assert view["context"][:3] == [item(it) for it in case(1)]
    content = view["context"][3]
    assert (content["key"], content["resource"]["type"]) == ("content", "collection")
    assert [it["resource"] for it in content["resource"]["entry"]] == [observation("ob-1")]


async def test_the_last_open_is_current_and_its_close_leaves_none(hub: RunningHub) -> None:
    """TAB-01, CTX-04: though another context is still open; that one keeps its content."""
    await hub.wire.join(TOPIC)
    version = await posted(hub, open_request(1))
    await posted(hub, update_request(version, put(observation("ob-1"))))
    await posted(hub, open_request(2))
    assert (await hub.wire.context(TOPIC))["context"][0]["resource"]["id"] == "dr-2"
    await posted(hub, close_request(2))
    assert (await hub.wire.context(TOPIC))["context"] == []
    await posted(hub, open_request(1))
    view = await hub.wire.context(TOPIC)
    assert [it["fullUrl"] for it in view["context"][-1]["resource"]["entry"]] == [
        "Observation/ob-1"
    ]


async def test_home_leaves_none_current(hub: RunningHub) -> None:
    """D-21: but the context stays open."""
    await hub.wire.join(TOPIC)
    await posted(hub, open_request())
    await posted(hub, request("Home-open"))
    assert (await hub.wire.context(TOPIC))["context.type"] == ""
    await posted(hub, close_request())


async def test_a_selection_of_what_is_not_current_is_refused(hub: RunningHub) -> None:
    """SEL-03, D-29."""
    await hub.wire.join(TOPIC)
    await posted(hub, open_request(1))
    await posted(hub, open_request(2))
    assert (await hub.wire.post(select_request("Patient/pt-1", number=1))).status_code == 409


async def test_an_update_of_what_is_not_current_is_taken(hub: RunningHub) -> None:
    """2.10: and leaves the current context's version alone."""
    await hub.wire.join(TOPIC)
    first = await posted(hub, open_request(1))
    second = await posted(hub, open_request(2))
    await posted(hub, update_request(first, put(observation("ob-1"))))
    assert (await hub.wire.context(TOPIC))["context.versionId"] == second


@pytest.mark.parametrize("topic", ["a b", "a/b", "https://x.example/?t=1&u=2#f", "ü%41"])
async def test_any_topic_can_be_asked_for(hub: RunningHub, topic: str) -> None:
    """2.9: percent-encoded in the URL."""
    await hub.wire.join(topic)
    await posted(hub, patient_request(topic=topic))
    assert (await hub.wire.context(topic))["context.type"] == "Patient"


async def test_an_unknown_topic_is_404(hub: RunningHub) -> None:
    """D-33: plain text."""
    answer = await hub.wire.get(TOPIC)
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("text/plain")


async def test_a_topic_ends_after_its_last_subscription(start_hub: StartHub) -> None:
    """D-40: a while later; the contexts are kept until then, and gone afterwards."""
    hub = await start_hub(topic_idle_seconds="0.8")
    socket = await hub.wire.join(TOPIC)
    await posted(hub, open_request())
    await hub.wire.unsubscribe(TOPIC, socket.endpoint)
    assert (await hub.wire.context(TOPIC))["context.type"] == "DiagnosticReport"
    while (answer := await hub.wire.get(TOPIC)).status_code != 404:
        assert answer.json()["context.type"] == "DiagnosticReport"
    await hub.wire.join(TOPIC)
    assert (await hub.wire.context(TOPIC))["context"] == []


@pytest.mark.parametrize(("profile", "release"), [("base", "R4"), ("ira", "R5")])
async def test_the_well_known_document(start_hub: StartHub, profile: str, release: str) -> None:
    """2.7, WK-01 to WK-05: at every mount, without a token."""
    hub = await start_hub(profile=profile)
    for url in (hub.url, f"{hub.origin}/fhircast/STU3"):
        answer = await hub.wire.http.get(f"{url}/.well-known/fhircast-configuration")
        assert answer.headers["content-type"] == "application/json"
        said = answer.json()
        assert {"DiagnosticReport-update", "Patient-open", "SyncError"} <= set(
            said["eventsSupported"]
        )
        assert (said["websocketSupport"], said["fhircastVersion"]) == (True, "3.0.0")
        assert said["fhirVersion"] == release
        assert said["getCurrentSupport"] is True


async def test_health(hub: RunningHub) -> None:
    """The two questions of an orchestrator."""
    for path in ("/livez", "/readyz"):
        assert (await hub.wire.http.get(hub.origin + path)).status_code == 200


async def test_an_update_of_many_entries_is_shown_whole(hub: RunningHub) -> None:
    """2.10, CTX-07: in the order in which they were shared."""
    await hub.wire.join(TOPIC)
    version = await posted(hub, open_request())
    entries = [put(observation(f"ob-{number}")) for number in range(200)]
    await posted(hub, update_request(version, *entries))
    shared = (await hub.wire.context(TOPIC))["context"][-1]["resource"]["entry"]
    assert [it["fullUrl"] for it in shared] == [it["fullUrl"] for it in bundle(*entries)["entry"]]
