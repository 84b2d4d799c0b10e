"""Genuine tokens that cover less than their holder wants: other events, other sessions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import quote
from uuid import UUID

import pytest
from attacked import another_patient, attacked_session, genuine
from builders import TOPIC, bundle, item, put, ref
from raw_http import exchange, status_of
from wire_messages import ALL_EVENTS, request, sync_error_request

if TYPE_CHECKING:
    from pathlib import Path

    from attacked import Attacked
    from builders import Json
    from hub_server import StartHub

MINE = "the attacker's own session"

NO_SCOPES = (
    *(f"fhircast/{it}" for it in ("Patient-*.*", "*-open.*", "P*.*", "**.*", "Patient-open,*.*")),
    *(f"fhircast/{it}" for it in ("*", "*.", ".*", ".read", "*.r*", "*.readwrite", "*.READ")),
    *(f"{it}/*.*" for it in ("FHIRCAST", "xfhircast", "patient", "user", "system", "fhircast/")),
    *("fhircast:*.*", "fhircast/%2A.%2A", "fhircast/*.*x", "fhircast/*.*;", '"fhircast/*.*"'),
    *("fhircast/x,fhircast/*.*", "fhircast/x;fhircast/*.*", "openid+fhircast/*.*"),
    *("\uff46hircast/*.*", "fhirc\u0430st/*.*", "fhircast/\uff0a.*", "fhircast\u2215*.*"),
    *(f"openid{it}fhircast/*.*" for it in "\n\r\t\0\x0b\x1c\x85\xa0\u2028\u3000"),
)


@pytest.mark.parametrize("is_list", [False, True])
async def test_a_scope_that_only_looks_like_one_grants_nothing(
    attacked: Attacked, is_list: bool
) -> None:
    """SCO-01 to SCO-03: no partial wildcard, no other case, separator or alphabet; 403."""
    for scope in NO_SCOPES:
        wire = await attacked.hub.client(genuine(scope=[scope] if is_list else scope))
        for answer in (
            await wire.subscribe(TOPIC, ALL_EVENTS),
            await wire.post(another_patient()),
            await wire.post(sync_error_request("x")),
        ):
            assert answer.status_code == 403, (scope, answer.text)
            attacked.is_refused(answer, 403)
        view = await wire.get(TOPIC)
        assert (view.status_code, view.json()["context"]) == (200, []), scope
    await attacked.is_unharmed()


@pytest.mark.parametrize(
    "scope",
    ["fhircast/Home-open.* " * 3, "fhircast/home-OPEN.read fhircast/HOME-open.write openid"],
)
async def test_scopes_said_twice_or_in_capitals_grant_no_more(
    attacked: Attacked, scope: str
) -> None:
    """SCO-01, GEN-03."""
    wire = await attacked.hub.client(genuine(scope, sub="attacker"))
    socket = await wire.join(TOPIC, ALL_EVENTS)
    assert socket.confirmation["hub.events"] == "Home-open"
    assert (await wire.context(TOPIC))["context"] == []
    attacked.is_refused(await wire.post(another_patient()), 403)
    await attacked.is_unharmed()  # its marker goes to the victim alone
    sent = request("Home-open")
    assert (await wire.post(sent)).status_code == 202
    assert (await socket.next())["id"] == sent["id"]


SMUGGLED_NAMES = (
    *("*", "*-open", "Patient-*", "Patient-open,*", "Patient-open, *", "Patient-open;*"),
    *("Patient-open|SyncError", "Patient-open SyncError", "fhircast/*.read", "Patient-open\0"),
    *("Patient\u2010open", "\uff30atient-open", "Pat\u0131ent-open", "Patient-open\u200b"),
    *("Tas\u212a-open", "S\u0443ncError", "x" * 5000),
)


@pytest.mark.parametrize("kind", ["hub.events", "hub.event"])
async def test_a_name_that_smuggles_another_is_no_name(attacked: Attacked, kind: str) -> None:
    """SUB-07, EVT-12, EVT-13: 400, whether asked for or published, and whatever the scopes."""
    wire = await attacked.hub.client(genuine(sub="attacker"))
    for name in SMUGGLED_NAMES:
        if kind == "hub.events":
            answer = await wire.subscribe(TOPIC, ["Home-open", name])
        else:
            event = another_patient()
            event["event"]["hub.event"] = name
            event["event"]["context"].append(item({"resourceType": "Task", "id": "t"}))
            answer = await wire.post(event)
        assert answer.status_code == 400, (name, answer.text)
        attacked.is_refused(answer, 400)
    await attacked.is_unharmed()


async def test_the_spelling_of_an_event_does_not_get_it_past_its_scope(attacked: Attacked) -> None:
    """SCO-03, GEN-03: 403 for any case of a name that the token does not cover."""
    wire = await attacked.hub.client(genuine("fhircast/Patient-close.* fhircast/patient.write"))
    for name in ("Patient-open", "patient-open", "PATIENT-OPEN", "pATIENT-oPEN"):
        event = another_patient()
        event["event"]["hub.event"] = name
        attacked.is_refused(await wire.post(event), 403)
        attacked.is_refused(await wire.subscribe(TOPIC, [name]), 403)
    await attacked.is_unharmed()


async def test_an_event_of_ones_own_opens_nothing(attacked: Attacked) -> None:
    """EVT-13: whatever is in it, it is passed on to who asked for it, and judged as nothing."""
    wire = await attacked.hub.client(genuine("fhircast/org.evil.open.write", sub="attacker"))
    event = another_patient()
    event["event"]["hub.event"] = "org.evil.open"
    assert (await wire.post(event)).status_code == 202
    await attacked.is_unharmed()


# Other sessions


async def test_a_token_of_another_session_opens_no_door(attacked: Attacked) -> None:
    """SMART-08, SEC-04: 403 for the victim's session, as for one that nobody made."""
    wire = await attacked.hub.client(genuine(**{"hub.topic": MINE}))
    own = await wire.join(MINE, ALL_EVENTS)
    theirs = await attacked.at_every_door(wire)
    nobodys = await attacked.at_every_door(wire, "nobody's")
    for answer in theirs:
        attacked.is_refused(answer, 403)
    assert [it.text for it in theirs] == [it.text for it in nobodys]
    head = await wire.http.head(f"{attacked.hub.url}/{TOPIC}")
    assert head.status_code == 403
    for mount in ("/fhircast/STU3", "/fhircast/STU2"):
        attacked.is_refused(await wire.http.get(f"{attacked.hub.origin}{mount}/{TOPIC}"), 403)
    await attacked.is_unharmed()
    sent = request("org.example.marker", topic=MINE)
    assert (await wire.post(sent)).status_code == 202
    assert (await own.next())["id"] == sent["id"]


SPELLINGS = {
    "capitals": TOPIC.upper(),
    "space after": TOPIC + " ",
    "space before": " " + TOPIC,
    "line end": TOPIC + "\n",
    "NUL": TOPIC + "\0",
    "NUL and more": TOPIC + "\0.json",
    "slash": TOPIC + "/",
    "dot": TOPIC + "/.",
    "traversal": f"{MINE}/../{TOPIC}",
    "percent": "%35" + TOPIC[1:],
    "percent twice": "%2535" + TOPIC[1:],
    "plus": "+" + TOPIC,
    "query": TOPIC + "?",
    "fragment": "#" + TOPIC,
    "semicolon": TOPIC + ";v=1",
    "wide digit": "\uff15" + TOPIC[1:],
    "no width": TOPIC + "\u200b",
    "no width before": "\ufeff" + TOPIC,
    "look-alike": TOPIC.replace("c", "\u0441"),
    "wildcard": "*",
    "half": TOPIC[:-1],
    "list": f"{MINE},{TOPIC}",
    "braces": f"{{{TOPIC}}}",
}


async def test_a_topic_is_itself_and_nothing_like_it(attacked: Attacked) -> None:
    """SEC-04, SMART-08: another spelling is another session; a token for it opens no other."""
    anybody = await attacked.hub.client(genuine(sub="attacker"))
    for name, topic in SPELLINGS.items():
        assert (await anybody.get(topic)).status_code == 404, name
        socket = await anybody.join(topic, ALL_EVENTS)
        assert (await anybody.post(another_patient(topic=topic))).status_code == 202, name
        assert (await socket.next())["event"]["hub.topic"] == topic, name
        bound = await attacked.hub.client(genuine(sub="attacker", **{"hub.topic": topic}))
        for answer in await attacked.at_every_door(bound):
            attacked.is_refused(answer, 403)
        assert (await bound.context(topic))["context.type"] == "Patient", name
    await attacked.is_unharmed()


async def test_a_path_leads_to_one_topic(attacked: Attacked) -> None:
    """OLD-02, SMART-08: dots, slashes and escapes in it are parts of a topic that is not mine."""
    token = genuine(**{"hub.topic": MINE})
    wire = await attacked.hub.client(token)
    await wire.join(MINE, ALL_EVENTS)
    mine = quote(MINE)
    for path in (
        f"{mine}/../{TOPIC}",
        f"{mine}/%2e%2e/{TOPIC}",
        f"{mine}%2f..%2f{TOPIC}",
        f"{mine}\\..\\{TOPIC}",
        f"{mine};/../{TOPIC}",
        f"{mine}%00{TOPIC}",
        f"/{TOPIC}",
        f"./{TOPIC}",
        f"%35{TOPIC[1:]}",
        f"{TOPIC}/",
        f"{TOPIC}?hub.topic={mine}",
        f"{TOPIC}#{mine}",
    ):
        for method in ("GET", "POST"):
            answer = await exchange(attacked.hub, asked(method, path, token))
            # A POST says its topic in the body too: there the two differ.
            assert status_of(answer) == (403 if method == "GET" else 400), (path, answer)
            attacked.tells_nothing(answer.decode())
    await attacked.is_unharmed()


def asked(method: str, path: str, token: str) -> bytes:
    body = json.dumps(another_patient(topic=MINE)).encode() if method == "POST" else b""
    return (
        f"{method} /api/hub/{path} HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n"
        f"Authorization: Bearer {token}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body


@pytest.mark.parametrize("name", ["hub.topic", "hub.topi\\u0063", "hub\\u002etopic"])
async def test_a_second_topic_in_a_request_is_refused(attacked: Attacked, name: str) -> None:
    """EVT-02, GEN-01: 400, in whatever order, also where the name is written with an escape."""
    wire = await attacked.hub.client(genuine(**{"hub.topic": MINE}))
    await wire.join(MINE, ALL_EVENTS)
    body = json.dumps(another_patient(topic=MINE))
    other = f'"{name}": "{TOPIC}", '
    for first in ('"hub.topic"', '"hub.event"'):
        twice = body.replace(first, other + first)
        assert twice != body
        attacked.is_refused(await wire.post(twice.encode()), 400)
    await attacked.is_unharmed()


@pytest.mark.parametrize("name", ["hub.topic", "hub%2Etopic", "hub.topi%63"])
async def test_a_second_topic_in_a_form_is_refused(attacked: Attacked, name: str) -> None:
    """SUB-05: 400, however its name is written."""
    wire = await attacked.hub.client(genuine(**{"hub.topic": MINE}))
    form = "hub.channel.type=websocket&hub.mode=subscribe&hub.events=Patient-open"
    for topics in (f"hub.topic=mine&{name}={TOPIC}", f"{name}={TOPIC}&hub.topic=mine"):
        answer = await wire.http.post(
            attacked.hub.url,
            content=f"{form}&{topics}",
            headers={"Content-Type": "application/x-www-form-urlencoded"},
        )
        attacked.is_refused(answer, 400)
    await attacked.is_unharmed()


@pytest.mark.parametrize("claim", [[TOPIC], {"hub.topic": TOPIC}, 0, True, [], f"x {TOPIC}", "*"])
async def test_a_topic_claim_is_one_text(attacked: Attacked, claim: object) -> None:
    """SMART-08: 401 for what is no text, 403 for a text that is another topic."""
    wire = await attacked.hub.client(genuine(**{"hub.topic": claim}))
    for answer in await attacked.at_every_door(wire):
        attacked.is_refused(answer, 403 if isinstance(claim, str) else 401)
    await attacked.is_unharmed()


@pytest.mark.parametrize("claim", ["", None])
async def test_an_empty_topic_claim_is_none(
    start_hub: StartHub, tmp_path: Path, claim: str | None
) -> None:
    """SMART-08, SEC-04: 403 where each token must be bound."""
    attacked = await attacked_session(start_hub, tmp_path)
    strict = await start_hub(
        auth="jwt", jwks_file=str(tmp_path / "jwks.json"), require_topic="1", issuer=""
    )
    wire = await strict.client(genuine(**{"hub.topic": claim}))
    for answer in await attacked.at_every_door(wire):
        attacked.is_refused(answer, 403)


# Ids and versions


async def test_an_event_id_is_known_in_its_session_only(attacked: Attacked) -> None:
    """EVT-04, D-28: the id of a victim's event, used elsewhere, neither blocks nor answers it."""
    wire = await attacked.hub.client(genuine(sub="attacker"))
    socket = await wire.join(MINE, ALL_EVENTS)
    sent = another_patient(topic=MINE, id="the same")
    answer = await wire.post(sent)
    await socket.followed()
    theirs = request("org.example.marker", id="the same")
    assert (await attacked.owner.post(theirs)).json() == {"id": "the same"}
    assert (await attacked.victim.followed())["id"] == "the same"
    assert (await wire.post(sent)).json() == answer.json()
    attacked.is_refused(await wire.post(another_patient(topic=TOPIC, id="the same")), 409)
    await attacked.is_unharmed()


async def test_a_version_cannot_be_guessed(attacked: Attacked) -> None:
    """CONT-03, D-42: 409 for every version but the current one, and nothing of the update kept.

    The refusal names the current version, to who may write: a version is no secret, but a check.
    """
    wire = await attacked.hub.client(genuine(sub="attacker"))
    mine = await wire.join(MINE, ALL_EVENTS)
    own = await wire.post(another_patient(topic=MINE))
    await mine.followed()
    version = attacked.before["context.versionId"]
    other = own.json()["context.versionId"]
    odd = ("1", "*", "null", "latest", "\0", "x" * 9999, str(UUID(int=0)), other)
    near = (version.upper(), version[:-1], f"{version} ", f'"{version}"', f"{version},x")
    for guess in (*odd, *near):
        attacked.is_refused(await wire.post(update_of(guess)), 409)
    for no_text in (None, 0, True, [version], {"versionId": version}):
        attacked.is_refused(await wire.post(update_of(no_text)), 400)
    twice = update_of("x")
    twice["event"]["versionId"] = version
    attacked.is_refused(await wire.post(twice), 409)
    mute = await attacked.hub.client(genuine("fhircast/Patient-update.read", sub="attacker"))
    attacked.is_refused(await mute.post(update_of(version)), 403)
    await attacked.is_unharmed()


def update_of(version: object) -> Json:
    """An update of the victim's patient."""
    observation = {"resourceType": "Observation", "id": "evil"}
    updates = {"key": "updates", "resource": bundle(put(observation))}
    update = request("Patient-update", ref("Patient/4438001", "patient"), updates, version_id="x")
    update["event"]["context.versionId"] = version
    return update
