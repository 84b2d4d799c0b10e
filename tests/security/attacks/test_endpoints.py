"""Endpoints and names of others: guessed, taken over, ended, spoken for."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from attacked import attacked_session, genuine
from builders import TOPIC
from raw_http import exchange, status_of
from websockets.exceptions import InvalidStatus
from wire_messages import ALL_EVENTS, codings, denied_and_closed, request, sync_error_request

if TYPE_CHECKING:
    from pathlib import Path

    from attacked import Attacked
    from fhircast_conformance.wire import Json, Wire
    from hub_server import StartHub

OWN = "the attacker's own session"


async def thief(attacked: Attacked, scope: str = "fhircast/*.*") -> Wire:
    """Another user with a token for every session."""
    return await attacked.hub.client(genuine(scope, sub="thief"))


# Who knows an endpoint of somebody else


def spellings(attacked: Attacked) -> list[str]:
    """Ways to name the victim's endpoint in a form."""
    url, id = attacked.victim.endpoint, attacked.endpoint_id
    return [url, id, f"/ws/{id}", f"//evil.example/{id}", f"../{id}", f"{url}?x=1", f"{url}#x"]


async def test_a_known_endpoint_of_another_cannot_be_ended_or_changed(attacked: Attacked) -> None:
    """UNS-05, SUB-11, D-48: 400 for its owner's topic and for one's own, however it is named."""
    wire = await thief(attacked)
    await wire.join(OWN, ALL_EVENTS)
    for endpoint in spellings(attacked):
        for topic in (TOPIC, OWN):
            named = {"hub__channel__endpoint": endpoint}
            attacked.is_refused(await wire.subscribe(topic, ["Home-open"], **named), 400)
            attacked.is_refused(await wire.unsubscribe(topic, endpoint), 400)
    await attacked.is_unharmed()


@pytest.mark.parametrize(
    "claims",
    [
        {"client_id": "owner", "sub": "viewer"},
        {"client_id": None, "sub": "owner|viewer"},
        {"sub": "owner", "client_id": "viewer "},
        {"sub": "OWNER"},
        {"sub": "owner\0"},
        {"sub": None, "client_id": "viewer"},
    ],
)
async def test_an_owner_is_not_who_is_called_nearly_the_same(
    attacked: Attacked, claims: Json
) -> None:
    """UNS-05, D-48: 400."""
    wire = await attacked.hub.client(genuine(**claims))
    attacked.is_refused(await wire.unsubscribe(TOPIC, attacked.victim.endpoint), 400)
    await attacked.is_unharmed()


async def test_nobody_is_unsubscribed_by_name(attacked: Attacked) -> None:
    """D-48: 400 for the name of another; who takes the same name ends itself alone."""
    wire = await thief(attacked)
    form = {"hub.channel.type": "websocket", "hub.mode": "unsubscribe", "hub.topic": TOPIC}
    for name in ("Victim", "victim", "*", "", "Victim\0", "%"):
        attacked.is_refused(await wire.form({**form, "subscriber.name": name}), 400)
    socket = await wire.join(TOPIC, ["Home-open"], name="Victim")
    answer = await wire.form({**form, "subscriber.name": "Victim"})
    assert (answer.status_code, answer.json()) == (202, {"hub.channel.endpoint": socket.endpoint})
    assert await denied_and_closed(socket) == ("unsubscribed", 1000)
    await attacked.is_unharmed()


# Who does not know it


def near(id: str) -> list[str]:
    """Ids of the right form that differ from this one a little."""
    other = "A" if id[-1] != "A" else "B"
    return [id[:-1] + other, other + id[1:], id.swapcase(), id[::-1], id[1:] + id[0], "A" * 32]


async def test_a_guessed_endpoint_tells_nothing(attacked: Attacked) -> None:
    """SUB-15, D-43: near the mark or far off, one and the same denial; the victim keeps its own."""
    base = attacked.victim.endpoint.rpartition("/")[0]
    denials = []
    for id in near(attacked.endpoint_id):
        socket = await attacked.hub.wire.connect(f"{base}/{id}")
        denials.append(await socket.next())
        assert await socket.close_code() == 1008
        attacked.tells_nothing(socket.text)
    assert all(it == denials[0] for it in denials)
    assert (denials[0]["hub.topic"], denials[0]["hub.events"]) == ("", "")
    await attacked.is_unharmed()


async def test_no_other_path_leads_to_an_endpoint(attacked: Attacked) -> None:
    """SUB-15, D-43: 404, whatever stands before or behind the id."""
    base, _, id = attacked.victim.endpoint.rpartition("/")
    for path in ("", "/", f"{id}/", f"/{id}", f"{id}%00", f"{id}%20", f"{id};x", f"{id}.json"):
        with pytest.raises(InvalidStatus) as refused:
            await attacked.hub.wire.connect(f"{base}/{path}")
        assert refused.value.response.status_code in {403, 404}, path
        attacked.tells_nothing(str(refused.value.response.headers))
    await attacked.is_unharmed()


async def test_an_endpoint_is_nothing_to_read_or_post_to(attacked: Attacked) -> None:
    """SUB-15, SUB-10: 401 without a token, and with one it is a topic that nobody made."""
    url = attacked.victim.endpoint.replace("ws", "http", 1)
    attacked.is_refused(await attacked.hub.wire.http.get(url), 401)
    attacked.is_refused(await (await thief(attacked)).http.get(url), 404)
    await attacked.is_unharmed()


async def test_guessing_ends_and_the_victim_can_come_back(
    start_hub: StartHub, tmp_path: Path
) -> None:
    """D-43: 429 for the guesser; an endpoint that is known is not counted, even from there."""
    attacked = await attacked_session(start_hub, tmp_path, max_unknown_upgrades_per_minute="3")
    base = attacked.victim.endpoint.rpartition("/")[0]
    ids = [f"{number:032}" for number in range(6)]
    statuses = []
    for id in ids:
        try:
            await attacked.hub.wire.connect(f"{base}/{id}")
            statuses.append(101)
        except InvalidStatus as refused:
            statuses.append(refused.response.status_code)
    assert statuses == [101, 101, 101, 429, 429, 429]
    again = await (await attacked.owner.connect(attacked.victim.endpoint)).confirmed()
    sent = request("org.example.marker")
    await attacked.owner.post(sent)
    assert (await again.next())["id"] == sent["id"]


# Who speaks in the name of another


async def test_a_sync_error_in_anothers_name_moves_nothing(attacked: Attacked) -> None:
    """SYNC-10, SCO-03: 403 without its scope. With it, it is passed on as it came, and no more.

    The standard has no way to tell who speaks; what the hub itself does must not depend on it.
    """
    mute = await thief(attacked, "fhircast/*.read")
    told = request("org.example.marker")
    assert (await attacked.owner.post(told)).status_code == 202
    await attacked.victim.followed()
    spoofed = sync_error_request(told["id"])
    attacked.is_refused(await mute.post(spoofed), 403)
    await attacked.is_unharmed()
    wire = await thief(attacked, "fhircast/SyncError.write")
    assert (await wire.post(spoofed)).json() == {"id": spoofed["id"]}
    assert (await attacked.victim.followed())["id"] == spoofed["id"]
    await attacked.is_unharmed()


async def test_an_answer_to_what_was_sent_to_another_counts_for_nothing(attacked: Attacked) -> None:
    """ACK-05, SYNC-01: a refusal of an event that this socket was not sent makes no SyncError."""
    wire = await thief(attacked)
    sockets = [
        await wire.join(TOPIC, ["Home-open"], name="Victim"),
        await wire.join(OWN, ALL_EVENTS, name="Victim"),
    ]
    sent = request("org.example.marker")
    await attacked.owner.post(sent)
    assert (await attacked.victim.next())["id"] == sent["id"]
    for socket in sockets:
        for status in ("500", "409", 413, None):
            await socket.acknowledge(sent, status)
        await socket.send({"id": "*", "status": "500"})
        await socket.send({"id": [sent["id"]], "status": "500"})
    home = request("Home-open")  # to see that what was sent has been read
    await attacked.owner.post(home)
    await sockets[0].followed()
    assert (await attacked.victim.followed())["id"] == home["id"]
    await attacked.victim.acknowledge(sent)
    marker = request("org.example.marker")
    await attacked.owner.post(marker)
    assert (await attacked.victim.followed())["id"] == marker["id"]


NAMES = (
    "x\r\n12:00:00 ERROR injected: line",
    "\x1b[31minjected\x1b[0m\x07",
    '","injected":"',
    "<script>injected</script>",
    "${jndi:ldap://injected}",
    "%s%n{0}injected",
    "\u202einjected\u2028",
)


@pytest.mark.parametrize("name", NAMES)
async def test_a_name_is_a_name_wherever_it_comes_out(
    attacked: Attacked, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """SUB-18, SEC-03: in a SyncError it is one text of its JSON; in the log it is not at all."""
    caplog.set_level(logging.DEBUG, "fhircast_hub")
    wire = await thief(attacked)
    socket = await wire.join(TOPIC, ["org.example.marker"], name=name)
    sent = request("org.example.marker")
    await attacked.owner.post(sent)
    await attacked.victim.followed()
    await socket.acknowledge(await socket.next(), "409")
    told = await attacked.victim.followed()
    assert codings(told)["subscribername"] == name.strip()
    (issue,) = told["event"]["context"][0]["resource"]["issue"]
    assert set(issue) == {"severity", "code", "diagnostics", "details"}
    assert any("out of sync" in it.getMessage() for it in caplog.records)
    assert "injected" not in caplog.text


async def test_a_line_of_the_log_cannot_be_written_by_a_path(
    attacked: Attacked, caplog: pytest.LogCaptureFixture
) -> None:
    """SEC-03: neither by a topic, an id nor a header; answers do not repeat them either."""
    caplog.set_level(logging.DEBUG)
    wire = await thief(attacked)
    evil = "injected\r\n12:00:00 ERROR line"
    wire.http.headers["User-Agent"] = "injected"
    await wire.join(evil, ALL_EVENTS, name=evil)
    answers = [
        await wire.get("no " + evil),
        await wire.post(request("Patient-open", topic=evil, id=evil)),
        await wire.post({"injected": 1}),
        await wire.http.get(f"{attacked.hub.origin}/{quote(evil)}"),
        await wire.subscribe(TOPIC, [evil]),
    ]
    assert [it.status_code for it in answers] == [404, 400, 400, 404, 400]
    assert not [it for it in answers if "injected" in it.text + str(it.headers)]
    ours = [it.getMessage() for it in caplog.records if it.name.startswith("fhircast_hub")]
    assert ours
    assert not [it for it in ours if "injected" in it]
    answer = await exchange(attacked.hub, b"GET /injected\r\n12:00:00 ERROR line\r\n\r\n")
    assert status_of(answer) == 505
    assert b"injected" not in answer
