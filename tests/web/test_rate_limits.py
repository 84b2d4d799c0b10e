"""How often one caller may ask, on the wire: 429 with words and a time, and nothing is done."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from builders import TOPIC
from fhircast_hub.cli.token import mint_token
from websockets.exceptions import InvalidStatus
from wire_messages import only_marker_comes, patient_request

if TYPE_CHECKING:
    import httpx
    from hub_server import StartHub

KEY = "k" * 32


def token(subject: str = "user", *, seconds: int = 600) -> str:
    return mint_token(
        KEY, scope="fhircast/*.*", subject=subject, client_id="viewer", seconds=seconds
    )


def check_put_off(answer: httpx.Response, reason: str, rule: str, seconds: int) -> None:
    assert answer.status_code == 429
    assert answer.headers["content-type"].startswith("text/plain")
    first, second = answer.text.splitlines()
    assert first.startswith(reason)
    assert second == rule
    # A moment may have passed since the attempts that used the limit up.
    assert int(answer.headers["retry-after"]) in {seconds - 1, seconds}


async def test_subscribes_are_limited(start_hub: StartHub) -> None:
    """SEC-02, SUB-13: forms of one address; nothing is made of what is too much."""
    hub = await start_hub(max_subscribes_per_minute="2")
    for _ in range(2):
        assert (await hub.wire.subscribe(TOPIC)).status_code == 202
    answer = await hub.wire.subscribe("another")
    rule = "FHIRCAST_MAX_SUBSCRIBES_PER_MINUTE"
    check_put_off(answer, "too many subscribes from this address", rule, 30)
    assert (await hub.wire.get("another")).status_code == 404


async def test_the_log_is_told_once_in_a_while(
    start_hub: StartHub, caplog: pytest.LogCaptureFixture
) -> None:
    """SEC-03: that a limit strikes, and which; not by whom, and not each time."""
    hub = await start_hub(max_reads_per_minute="1")
    for _ in range(5):
        await hub.wire.get(TOPIC)
    [line] = [it.getMessage() for it in caplog.records if it.name == "fhircast_hub.web.gate"]
    assert line == "limit reached: too many reads from this address"


async def test_publishes_are_limited(start_hub: StartHub) -> None:
    """EVT-03: nobody hears of what is too much."""
    hub = await start_hub(max_publishes_per_minute="3")
    socket = await hub.wire.join(TOPIC, ["Patient-open", "org.example.marker"])
    for _ in range(2):
        assert (await hub.wire.post(patient_request())).status_code == 202
        await socket.followed()
    await only_marker_comes(hub.wire, socket)
    answer = await hub.wire.post(patient_request(2))
    rule = "FHIRCAST_MAX_PUBLISHES_PER_MINUTE"
    check_put_off(answer, "too many publishes from this address", rule, 20)


async def test_reads_are_limited(start_hub: StartHub) -> None:
    """CTX-01: each kind of request has a count of its own."""
    hub = await start_hub(max_reads_per_minute="1")
    assert (await hub.wire.get(TOPIC)).status_code == 404
    rule = "FHIRCAST_MAX_READS_PER_MINUTE"
    check_put_off(await hub.wire.get(TOPIC), "too many reads from this address", rule, 60)
    assert (await hub.wire.subscribe(TOPIC)).status_code == 202


async def test_the_holder_of_a_token_is_limited(start_hub: StartHub) -> None:
    """SUB-13: with whatever token, and its neighbours behind the same address are not."""
    hub = await start_hub(auth="jwt", jwt_key=KEY, max_reads_per_minute_and_token="1")
    wires = [await hub.client(it) for it in (token(), token(seconds=700), token("other"))]
    answers = [await it.get(TOPIC) for it in wires]
    assert [it.status_code for it in answers] == [404, 429, 404]
    rule = "FHIRCAST_MAX_READS_PER_MINUTE_AND_TOKEN"
    check_put_off(answers[1], "too many reads of this token's holder", rule, 60)


async def test_without_tokens_there_is_no_holder(start_hub: StartHub) -> None:
    """SUB-13: with auth none everybody would be the same one."""
    hub = await start_hub(
        max_reads_per_minute_and_token="1",
        max_subscriptions_per_token="1",
        max_topics_per_token="1",
    )
    assert [(await hub.wire.get("x")).status_code for _ in range(3)] == [404] * 3
    assert [(await hub.wire.subscribe(it)).status_code for it in "abc"] == [202] * 3


async def test_upgrades_are_limited(start_hub: StartHub) -> None:
    """SEC-02: also to endpoints that are good."""
    hub = await start_hub(max_upgrades_per_minute="1")
    socket = await hub.wire.join(TOPIC)
    with pytest.raises(InvalidStatus) as refused:
        await hub.wire.connect(socket.endpoint)
    assert refused.value.response.status_code == 429
    assert int(refused.value.response.headers["retry-after"]) in {59, 60}


async def test_bad_tokens_are_limited_and_good_ones_get_in(start_hub: StartHub) -> None:
    """SUB-10: one address, a guesser and somebody who works."""
    hub = await start_hub(auth="jwt", jwt_key=KEY, max_bad_tokens_per_minute="2")
    works = await hub.client(token())
    assert (await works.get(TOPIC)).status_code == 404
    guesses = [await hub.client(f"bad.{it}.token") for it in range(3)]
    answers = [await it.get(TOPIC) for it in guesses]
    assert [it.status_code for it in answers] == [401, 401, 429]
    assert int(answers[2].headers["retry-after"]) in {29, 30}
    assert "bad.2" not in answers[2].text
    assert (await works.get(TOPIC)).status_code == 404


async def test_subscriptions_of_a_holder_are_bounded(start_hub: StartHub) -> None:
    """SUB-13, D-40: 429, no topic is made, an unsubscribe makes room, others have their own."""
    hub = await start_hub(auth="jwt", jwt_key=KEY, max_subscriptions_per_token="1")
    mine, other = await hub.client(token()), await hub.client(token("other"))
    socket = await mine.join(TOPIC)
    assert (await mine.subscribe("another")).status_code == 429
    assert (await mine.get("another")).status_code == 404
    assert (await other.subscribe(TOPIC)).status_code == 202
    await mine.unsubscribe(TOPIC, socket.endpoint)
    assert (await mine.subscribe("another")).status_code == 202


async def test_topics_of_a_holder_are_bounded(start_hub: StartHub) -> None:
    """D-40, SEC-04: those it made; it may join what others made."""
    hub = await start_hub(auth="jwt", jwt_key=KEY, max_topics_per_token="1")
    mine, other = await hub.client(token()), await hub.client(token("other"))
    assert (await mine.subscribe("mine")).status_code == 202
    assert (await other.subscribe("theirs")).status_code == 202
    answer = await mine.subscribe("one more")
    assert answer.status_code == 429
    assert answer.text.splitlines()[1] == "FHIRCAST_MAX_TOPICS_PER_TOKEN"
    assert (await mine.subscribe("theirs")).status_code == 202


async def test_a_site_gets_in_with_the_defaults(start_hub: StartHub) -> None:
    """SUB-13, SEC-02: 500 subscriptions at once with one token, of them 50 unused on one topic."""
    hub = await start_hub(auth="jwt", jwt_key=KEY)
    wire = await hub.client(token())
    answers = [await wire.subscribe(f"topic {max(it, 50)}") for it in range(500)]
    assert {it.status_code for it in answers} == {202}


async def test_one_bad_token_uses_nothing_of_its_address_up(start_hub: StartHub) -> None:
    """SEC-02: a broken application asks again and again, and its neighbours still get in."""
    hub = await start_hub(auth="jwt", jwt_key=KEY, max_subscribes_per_minute="3")
    broken, honest = await hub.client("no token of ours"), await hub.client(token())
    assert {(await broken.subscribe(TOPIC)).status_code for _ in range(9)} == {401}
    assert (await honest.subscribe(TOPIC)).status_code == 202


async def test_a_holder_beyond_its_limit_uses_nothing_of_its_address_up(
    start_hub: StartHub,
) -> None:
    """SEC-02: what is refused counts for its token alone."""
    per_token = {"max_subscribes_per_minute_and_token": "2"}
    hub = await start_hub(auth="jwt", jwt_key=KEY, max_subscribes_per_minute="3", **per_token)
    busy, honest = await hub.client(token("busy")), await hub.client(token("honest"))
    answers = [(await busy.subscribe(TOPIC)).status_code for _ in range(6)]
    assert answers == [202, 202, 429, 429, 429, 429]
    assert (await honest.subscribe(TOPIC)).status_code == 202
