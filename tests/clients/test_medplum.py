"""A session of Medplum's client beside a conforming subscriber."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest
from builders import REPORT, TOPIC, case, item, observation, put
from clients.field_client import events_of
from clients.medplum import Medplum, MedplumOfOld
from clients.neighbour import acknowledgements_fall_due
from wire_messages import (
    close_request,
    codings,
    open_request,
    select_request,
    update_request,
)

if TYPE_CHECKING:
    from clients.conftest import ComeIn, MeetNeighbour
    from hub_server import RunningHub, StartHub


class FlakyGateway(httpx.AsyncBaseTransport):
    """A gateway before the hub that gives up after the hub has answered, the first times."""

    def __init__(self, failures: int) -> None:
        self._failures = failures
        self._network = httpx.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = await self._network.handle_async_request(request)
        is_event = request.headers["content-type"] == "application/json"
        if not is_event or not self._failures:
            return answer
        self._failures -= 1
        await answer.aread()
        await answer.aclose()
        return httpx.Response(502)

    async def aclose(self) -> None:
        await self._network.aclose()


@pytest.mark.parametrize("kind", [Medplum, MedplumOfOld])
async def test_a_reading_session(
    hub: RunningHub, come_in: ComeIn, meet_neighbour: MeetNeighbour, kind: type[Medplum]
) -> None:
    """D-46, D-47, UNS-01, OLD-01: open, update, select, close, and an unsubscribe of either age."""
    neighbour = await meet_neighbour(hub.origin)
    medplum = await come_in(kind(hub.origin, TOPIC))
    await medplum.join()
    answer = await medplum.publish("DiagnosticReport-open", *map(item, case(1)))
    assert answer.status_code == 202
    assert list(answer.json()) == ["id", "context.versionId"]
    version = answer.json()["context.versionId"]
    opened = await neighbour.next_event()
    assert opened["event"]["context.versionId"] == version
    version = await neighbour.shares(update_request(version, put(observation("ob-1"))))
    await neighbour.shares(select_request("Observation/ob-1"))
    await neighbour.shares(close_request())
    got = [(await medplum.next_event())["event"] for _ in range(4)]
    assert [it["hub.event"].partition("-")[2] for it in got] == [
        "open",
        "update",
        "select",
        "close",
    ]
    assert got[1]["context.versionId"] == version
    assert (await medplum.unsubscribe()).status_code == 202
    assert [await medplum.next_state() for _ in range(3)] == ["connect", "denied", "disconnect"]
    await neighbour.nothing_but_a_marker_comes()


async def test_it_hears_of_trouble_in_lower_case(
    hub: RunningHub, come_in: ComeIn, meet_neighbour: MeetNeighbour
) -> None:
    """D-30, GEN-03: it can only ask for `syncerror`, and gets it spelled so."""
    neighbour = await meet_neighbour(hub.origin)
    medplum = await come_in(Medplum(hub.origin, TOPIC))
    await medplum.join()
    neighbour.refuses = "409"
    await neighbour.shares(open_request())
    await medplum.next_event()
    assert (await medplum.next_event())["event"]["hub.event"] == "syncerror"
    assert codings(await neighbour.next_event())["subscribername"] == "Neighbour"


async def test_a_receipt_without_status_is_no_refusal(
    start_hub: StartHub, come_in: ComeIn, meet_neighbour: MeetNeighbour
) -> None:
    """D-04, D-41: nor silence: nobody hears of trouble, and it is never thrown out."""
    hub = await start_hub(ack_timeout_seconds="1", unresponsive_after="1")
    neighbour = await meet_neighbour(hub.origin)
    mute = await meet_neighbour(hub.origin, "Mute")
    medplum = await come_in(Medplum(hub.origin, TOPIC))
    await medplum.join()
    await acknowledgements_fall_due(neighbour, mute)
    last = open_request(3)
    await neighbour.shares(last)
    got = [await medplum.next_event() for _ in range(4)]
    assert (got[2]["event"]["hub.event"], got[3]["id"]) == ("syncerror", last["id"])
    await neighbour.nothing_but_a_marker_comes()


async def test_a_lost_connection_is_resumed(
    hub: RunningHub, come_in: ComeIn, meet_neighbour: MeetNeighbour
) -> None:
    """D-45: back at the same endpoint within the grace: confirmation, then each event once."""
    neighbour = await meet_neighbour(hub.origin)
    medplum = await come_in(Medplum(hub.origin, TOPIC))
    await medplum.join()
    await neighbour.shares(open_request(1))
    await medplum.next_event()
    await medplum.lose_network()
    missed = [open_request(2), close_request(2), open_request(3)]
    for message in missed:
        await neighbour.shares(message)
    medplum.network.set()
    assert [(await medplum.next_event())["id"] for _ in missed] == [it["id"] for it in missed]
    assert len(events_of(medplum.frames)) == 4
    assert [frame.get("hub.mode") for frame in medplum.frames].count("subscribe") == 2
    assert medplum.attempts == 2
    await neighbour.nothing_but_a_marker_comes()


async def test_it_comes_back_before_its_old_socket_is_seen_to_die(
    hub: RunningHub, come_in: ComeIn, meet_neighbour: MeetNeighbour
) -> None:
    """D-44, SEC-02: the newest connection wins; the older is closed 1008, without a denial."""
    neighbour = await meet_neighbour(hub.origin)
    asleep = await come_in(Medplum(hub.origin, TOPIC))
    await asleep.join()
    asleep.network.clear()
    awake = await come_in(Medplum(hub.origin, TOPIC))
    awake.endpoint = asleep.endpoint
    awake.start(awake.stay_connected())
    assert [await asleep.next_state() for _ in range(2)] == ["connect", "disconnect"]
    assert asleep.close_code == 1008
    await neighbour.shares(open_request(1))
    await awake.next_event()
    assert len(asleep.frames) == 1
    await neighbour.nothing_but_a_marker_comes()


async def test_it_stops_when_its_subscription_is_over(
    start_hub: StartHub, come_in: ComeIn, meet_neighbour: MeetNeighbour
) -> None:
    """D-43, D-45: back after the grace, it is denied in a frame, and tries no more."""
    hub = await start_hub(reconnect_grace_seconds="0.1")
    neighbour = await meet_neighbour(hub.origin)
    medplum = await come_in(Medplum(hub.origin, TOPIC))
    await medplum.join()
    await medplum.lose_network()
    assert codings(await neighbour.next_event())["subscribername"].startswith("anonymous-")
    medplum.network.set()
    assert [await medplum.next_state() for _ in range(3)] == ["connect", "denied", "disconnect"]
    assert medplum.attempts == 2
    await neighbour.nothing_but_a_marker_comes()


async def test_its_lease_is_what_the_site_sets(
    start_hub: StartHub, come_in: ComeIn, meet_neighbour: MeetNeighbour
) -> None:
    """SUB-08, CONF-03: it asks for none and never renews, so the default is how long it stays."""
    hub = await start_hub(lease_default_seconds="1")
    medplum = await come_in(Medplum(hub.origin, TOPIC))
    await medplum.join()
    assert [await medplum.next_state() for _ in range(3)] == ["connect", "denied", "disconnect"]
    assert medplum.frames[-1]["hub.reason"] == "lease ended"
    await (await meet_neighbour(hub.origin)).nothing_but_a_marker_comes()


async def test_a_hub_that_stops_tells_it_so(hub: RunningHub, come_in: ComeIn) -> None:
    """CONF-05, D-22: a session kept in memory is gone with the hub: denied, not left to retry."""
    medplum = await come_in(Medplum(hub.origin, TOPIC))
    await medplum.join()
    await hub.stop()
    assert [await medplum.next_state() for _ in range(3)] == ["connect", "denied", "disconnect"]
    assert medplum.close_code == 1001


async def test_a_refused_upgrade_would_be_tried_for_ever(hub: RunningHub, come_in: ComeIn) -> None:
    """D-43: which is why only a malformed id, that no hub handed out, gets 404."""
    medplum = await come_in(Medplum(hub.origin, TOPIC))
    await medplum.subscribe()
    medplum.endpoint = medplum.endpoint[:-1]
    medplum.start(medplum.stay_connected())
    assert [await medplum.next_state() for _ in range(5)] == ["refused 404"] * 5


async def test_a_retry_does_not_double(
    hub: RunningHub, come_in: ComeIn, meet_neighbour: MeetNeighbour
) -> None:
    """D-28, D-46: the gateway fails after the broadcast; the same id gets the first answer."""
    neighbour = await meet_neighbour(hub.origin)
    medplum = await come_in(Medplum(hub.origin, TOPIC, transport=FlakyGateway(2)))
    await medplum.join()
    answer = await medplum.publish("DiagnosticReport-open", *map(item, case(1)))
    assert answer.status_code == 202
    opened = await neighbour.next_event()
    assert opened["id"] == answer.json()["id"]
    assert opened["event"]["context.versionId"] == answer.json()["context.versionId"]
    await neighbour.nothing_but_a_marker_comes()


async def test_a_request_over_a_limit_may_come_again(
    start_hub: StartHub, come_in: ComeIn, meet_neighbour: MeetNeighbour
) -> None:
    """D-28: 429 keeps nothing of the request: the same id is accepted once there is room."""
    hub = await start_hub(max_open_contexts="1")
    neighbour = await meet_neighbour(hub.origin)
    medplum = await come_in(Medplum(hub.origin, TOPIC))
    await medplum.join()
    await neighbour.shares(open_request(1))
    message = open_request(2)
    assert (await medplum.retrying(message)).status_code == 429
    await neighbour.shares(close_request(1))
    assert (await medplum.retrying(message)).status_code == 202
    assert (await neighbour.next_event())["id"] == message["id"]
    await neighbour.nothing_but_a_marker_comes()


async def test_another_application_leaves(
    hub: RunningHub, come_in: ComeIn, meet_neighbour: MeetNeighbour
) -> None:
    """D-48: an unsubscribe concerns one subscription, never the topic."""
    neighbour = await meet_neighbour(hub.origin)
    leaving = await meet_neighbour(hub.origin, "Leaving")
    medplum = await come_in(Medplum(hub.origin, TOPIC))
    await medplum.join()
    await leaving.leave()
    sent = open_request()
    await neighbour.shares(sent)
    assert (await medplum.next_event())["id"] == sent["id"]
    assert medplum.frames[0]["hub.mode"] == "subscribe"
    assert len(medplum.frames) == 2


PREFLIGHT = {
    "Origin": "https://app.example",
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,content-type,x-medplum",
}


async def test_its_header_passes_the_preflight(start_hub: StartHub, come_in: ComeIn) -> None:
    """D-52: in a browser, X-Medplum must be allowed, and errors must be readable."""
    hub = await start_hub(allowed_origins="https://app.example")
    url = f"{hub.origin}{Medplum.mount}"
    answer = await hub.wire.http.options(url, headers=PREFLIGHT)
    assert answer.status_code in {200, 204}
    allowed = answer.headers["access-control-allow-headers"].lower()
    assert {"authorization", "content-type", "x-medplum"} <= set(allowed.split(", "))
    medplum = await come_in(Medplum(hub.origin, TOPIC))
    medplum.in_page_of("https://app.example")
    await medplum.join()
    refused = await medplum.publish("DiagnosticReport-open", item(REPORT))
    assert refused.status_code == 400
    assert refused.headers["access-control-allow-origin"] == "https://app.example"


async def test_a_topic_stands_in_the_url_as_it_is(
    hub: RunningHub, come_in: ComeIn, meet_neighbour: MeetNeighbour
) -> None:
    """CTX-02: it does not percent-encode the topic of a GET; encoded is the same topic."""
    topic = "ward/3:reader+7@site,a;b='c'"
    medplum = await come_in(Medplum(hub.origin, topic))
    await medplum.join()
    await medplum.publish("DiagnosticReport-open", *map(item, case(1)))
    view = await medplum.get_context()
    assert view["context.type"] == "DiagnosticReport"
    assert view == await hub.wire.context(topic)


async def test_the_profile_of_ira_does_not_admit_it(start_hub: StartHub, come_in: ComeIn) -> None:
    """IRA-HUB-04, D-36: it cannot give a name; the answer says what is missing."""
    hub = await start_hub(profile="ira")
    medplum = await come_in(Medplum(hub.origin, TOPIC))
    refused = await medplum.ask_to_subscribe()
    assert refused.status_code == 400
    assert refused.text.splitlines()[0] == "subscriber.name: missing or empty"
