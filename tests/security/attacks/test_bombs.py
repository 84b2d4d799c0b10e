"""Bodies, forms and frames that are more than they seem: refused, and the victim never notices."""

from __future__ import annotations

import gzip
import json
import zlib
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import pytest
from attacked import another_patient, attacked_session, genuine
from builders import TOPIC, bundle, item, put, ref
from raw_http import BINARY, CLOSE, CONTINUATION, PING, TEXT, frame, raw_connection
from wire_messages import request

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from attacked import Attacked
    from builders import Json
    from hub_server import StartHub

FORM = "application/x-www-form-urlencoded"


def with_value(text: str, **patient: object) -> bytes:
    """An open with something in its patient that no JSON library writes."""
    resource = {"resourceType": "Patient", "id": "evil", **patient, "note": "HERE"}
    return json.dumps(request("Patient-open", item(resource))).replace('"HERE"', text).encode()


def with_member(text: str) -> bytes:
    return with_value(f'"x", {text}')


def nested(depth: int, opening: str = "[", closing: str = "]") -> bytes:
    return with_value(opening * depth + "0" + closing * depth)


LONE = "\\ud800"
BAD_JSON = {
    "deep": nested(100_000),
    "deep in objects": nested(50_000, '{"a":', "}"),
    "deep by turns": nested(20_000, '[{"a":', "}]"),
    "deep without an end": with_value("[" * 500_000),
    "a little too deep": nested(64),
    "a name twice": with_member('"id": "evil-2"'),
    "a name twice, once with an escape": with_member('"i\\u0064": "evil-2"'),
    "a name twice, and colons to make up for it": with_member(
        '"id": "evil-2", "a": "\\u003a\\u003A"'
    ),
    "a name twice, deep": with_value("[" * 50 + '{"a": 1, "a": 2}' + "]" * 50),
    "a name twice in bytes": with_member('"é": 1, "\\u00e9": 2'),
    "an empty name twice": with_member('"": 1, "": 2'),
    "the type twice": with_member('"resourceType": "Practitioner"'),
    "NaN": with_value("NaN"),
    "Infinity": with_value("-Infinity"),
    "half a surrogate pair": with_value(f'"{LONE}"'),
    "half a surrogate pair as a name": with_member(f'"{LONE}": 1'),
    "a pair the wrong way round": with_value('"\\udc00\\ud800"'),
    "a surrogate in bytes": with_value('"?"').replace(b"?", b"\xed\xa0\x80"),
    "overlong": with_value('"?"').replace(b"?", b"\xc0\xaf"),
    "beyond Unicode": with_value('"?"').replace(b"?", b"\xf4\x90\x80\x80"),
    "half a character": with_value('"?"').replace(b"?", b"\xe2\x82"),
    "a byte order mark": b"\xef\xbb\xbf" + with_value("0"),
    "UTF-16": with_value("0").decode().encode("utf-16"),
    "UTF-32": with_value("0").decode().encode("utf-32"),
    "a zero byte": with_value('"?"').replace(b"?", b"\0"),
    "a zero byte at the end": with_value("0") + b"\0",
    "a line end in a text": with_value('"?"').replace(b"?", b"\n"),
    "a comment": with_value("0 /* x */"),
    "a comma too many": with_value("[0,]"),
    "single quotes": with_value("'x'"),
    "a leading zero": with_value("01"),
    "hex": with_value("0x1"),
    "a plus": with_value("+1"),
    "a number beyond all": with_value("1e999"),
    "two values": with_value("0") + with_value("0"),
    "lines of values": with_value("0") + b"\n" + with_value("0"),
    "YAML": b"a: &a [x]\nb: [*a, *a]\n",
    "XML": b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><x>&b;</x>',
    "only spaces": b" " * 1_000_000,
    "only colons": b":" * 1_000_000,
    "only quotes": b'"' * 1_000_000,
}


async def test_a_json_bomb_does_not_go_off(attacked: Attacked) -> None:
    """GEN-01, EVT-02: 400 with words; nothing that two readers could read in two ways goes on."""
    wire = await attacked.hub.client(genuine(sub="attacker"))
    for name, body in BAD_JSON.items():
        answer = await wire.post(body)
        assert answer.status_code == 400, (name, answer.text)
        attacked.is_refused(answer, 400)
        assert "evil" not in answer.text
    await attacked.is_unharmed()


ODD_JSON = {
    "digits": "9" * 10_000,
    "digits behind the point": "0." + "3" * 10_000,
    "a small number": "1e-9999",
    "many small things": "[" + "{}," * 200_000 + "{}]",
    "many names": json.dumps({f"{number:x}": 0 for number in range(50_000)}),
    "a long text": '"' + "\\u0000" * 100_000 + '"',
    "a pair": '"\\ud83d\\ude00"',
    "as deep as it may be": "[" * 55 + "0" + "]" * 55,
}


async def test_what_is_only_odd_goes_through_as_it_is_or_not_at_all(attacked: Attacked) -> None:
    """EVT-18: byte for byte to the victim, or 400; never a fault of the hub."""
    wire = await attacked.hub.client(genuine(sub="attacker"))
    for name, text in ODD_JSON.items():
        answer = await wire.post(with_value(text))
        assert answer.status_code in {202, 400}, (name, answer.text)
        if answer.status_code == 202:
            told = await attacked.victim.followed()
            assert told["id"] == answer.json()["id"], name
            assert text in attacked.victim.text, name


async def test_one_update_with_too_much_is_refused_whole(
    start_hub: StartHub, tmp_path: Path
) -> None:
    """CONT-19, 2.10: 429, and none of its entries is kept; an endless one does not fit: 413."""
    attacked = await attacked_session(
        start_hub, tmp_path, max_content_resources="10", max_event_bytes="20000"
    )
    version = attacked.before["context.versionId"]
    for count, status in ((11, 429), (1000, 413)):
        update = update_with(count, version)
        attacked.is_refused(await attacked.owner.post(update), status)
    await attacked.is_unharmed()


def update_with(count: int, version: str) -> Json:
    entries = [put({"resourceType": "Observation", "id": f"o-{number}"}) for number in range(count)]
    updates = {"key": "updates", "resource": bundle(*entries)}
    patient = ref("Patient/4438001", "patient")
    return request("Patient-update", patient, updates, version_id=version)


# Forms


def fields(**more: str) -> str:
    named = {
        "hub.channel.type": "websocket",
        "hub.mode": "subscribe",
        "hub.topic": "x",
        "hub.events": "Patient-open",
    }
    return urlencode({**named, **{key.replace("__", "."): it for key, it in more.items()}})


BAD_FORMS = {
    "many fields": fields() + "&a=b" * 61,
    "a million fields": "&".join(["a"] * 400_000),
    "no fields": "&" * 1_000_000,
    "no end of equal signs": "=" * 1_000_000,
    "one name again and again": fields() + "&hub.topic=x" * 20,
    "an array": fields().replace("hub.topic", "hub.topic%5B%5D"),
    "an object": fields().replace("hub.topic", "hub%5Btopic%5D"),
    "a semicolon between": fields().replace("&", ";"),
    "JSON": json.dumps({"hub.mode": "subscribe"}),
    "half a surrogate pair": fields().replace("=x", "=%ED%A0%80"),
    "no UTF-8": fields().replace("=x", "=%FF"),
    "UTF-7": fields().replace("hub.topic", "+AGgAdQBi-.topic"),
    "an endless topic": fields(hub__topic="x" * 500_000),
    "an endless name": fields(subscriber__name="x" * 500_000),
    "an endless event": fields(hub__events="x" * 500_000),
    "many events": fields(hub__events=",".join(f"e{number}" for number in range(50_000))),
    "no events but commas": fields(hub__events="," * 300_000),
    "a lease without end": fields(hub__lease_seconds="-" + "9" * 500_000),
    "a lease in other digits": fields(hub__lease_seconds="\u0663\u0660"),
    "a lease with a point": fields(hub__lease_seconds="1e9"),
    "an address in brackets": fields(hub__channel__endpoint="ws://[::1/x"),
}


async def test_a_form_bomb_does_not_go_off(attacked: Attacked) -> None:
    """SUB-02 to SUB-08, SUB-13: 400 with words, and no topic is made."""
    wire = await attacked.hub.client(genuine(sub="attacker"))
    headers = {"Content-Type": FORM}
    for name, form in BAD_FORMS.items():
        answer = await wire.http.post(attacked.hub.url, content=form, headers=headers)
        assert answer.status_code == 400, (name, answer.text)
        attacked.is_refused(answer, 400)
        assert len(answer.text) < 500, name
    assert (await wire.get("x")).status_code == 404
    await attacked.is_unharmed()


# What would grow when it is unpacked


PACKED: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "x-gzip": gzip.compress,
    "gzip, gzip": lambda it: gzip.compress(gzip.compress(it)),
    "br": lambda it: it[::-1],
}


async def test_a_packed_body_is_not_unpacked(attacked: Attacked) -> None:
    """CONT-19, GEN-01: a good event in it is not seen, so a bomb in it cannot go off: 400."""
    wire = await attacked.hub.client(genuine(sub="attacker"))
    bomb = b'{"id": "' + b" " * 50_000_000
    for coding, pack in PACKED.items():
        for body in (json.dumps(another_patient()).encode(), bomb):
            if body is bomb and coding != "gzip":
                continue
            answer = await wire.post(pack(body), Content_Encoding=coding)
            attacked.is_refused(answer, 400)
        answer = await wire.http.post(
            attacked.hub.url,
            content=pack(fields().encode()),
            headers={"Content-Type": FORM, "Content-Encoding": coding},
        )
        attacked.is_refused(answer, 400)
    await attacked.is_unharmed()


async def test_no_compression_of_frames_is_agreed_to(attacked: Attacked) -> None:
    """GEN-02: the offer is passed over; a frame that says it is packed ends the connection."""
    wire = await attacked.hub.client(genuine(sub="attacker"))
    endpoint = (await wire.subscribe(TOPIC, ["Home-open"])).json()["hub.channel.endpoint"]
    path = endpoint.split("/", 3)[3]
    async with raw_connection(attacked.hub) as connection:
        await connection.send(
            f"GET /{path} HTTP/1.1\r\nHost: hub\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits, x-webkit\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            "".encode()
        )
        head = await connection.until(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 ")
        assert b"sec-websocket-extensions" not in head.lower()
        packed = zlib.compress(b" " * 1_000_000)
        await connection.send(frame(TEXT | 0x40, packed))
        assert (await connection.close_frame())[0] == 1002
    await attacked.is_unharmed_but_told(1)


FRAMES = {
    "larger than allowed": (b"\x81\xff" + bytes(5) + b"\x01\0\x01" + bytes(4), 1009),
    "in fragments beyond the bound": (
        frame(TEXT, b" " * 60_000, is_last=False) + frame(CONTINUATION, b" " * 60_000),
        1009,
    ),
    "of a size that is announced only": (b"\x81\xff" + b"\x7f" + b"\xff" * 7 + bytes(4), 1009),
    "no UTF-8": (frame(TEXT, b"\xff\xfe"), 1007),
    "half a surrogate pair": (frame(TEXT, b"\xed\xa0\x80"), 1007),
    "not masked": (b"\x81\x02{}", 1002),
    "an unknown kind": (frame(3, b"x"), 1002),
    "a reserved bit": (frame(TEXT | 0x20, b"x"), 1002),
    "a large ping": (frame(PING, b"x" * 126), 1002),
    "a ping in fragments": (frame(PING, b"x", is_last=False), 1002),
    "an end without a beginning": (frame(CONTINUATION, b"x"), 1002),
    "two beginnings": (frame(TEXT, b"{", is_last=False) + frame(BINARY, b"{"), 1002),
}


@pytest.mark.parametrize("name", FRAMES)
async def test_a_frame_that_is_none_ends_its_connection_only(attacked: Attacked, name: str) -> None:
    """GEN-02, SYNC-06: a close code that says it; one SyncError, and the others go on."""
    data, code = FRAMES[name]
    wire = await attacked.hub.client(genuine(sub="attacker"))
    endpoint = (await wire.subscribe(TOPIC, ["Home-open"])).json()["hub.channel.endpoint"]
    async with raw_connection(attacked.hub) as connection:
        await connection.upgrade(endpoint)
        await connection.send(data)
        assert (await connection.close_frame())[0] == code
    await attacked.is_unharmed_but_told(1)


@pytest.mark.parametrize("data", [b"\xff", b"{}", b"\xed\xa0\x80"])
async def test_a_close_behind_what_is_wrong_is_no_fault_of_ours(
    attacked: Attacked, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """GEN-02, SYNC-06: the peer is answered, and the log is not filled with errors."""
    wire = await attacked.hub.client(genuine(sub="attacker"))
    endpoint = (await wire.subscribe(TOPIC, ["Home-open"])).json()["hub.channel.endpoint"]
    async with raw_connection(attacked.hub) as connection:
        await connection.upgrade(endpoint)
        await connection.send(frame(TEXT, data) * 3 + frame(CLOSE, b"\x03\xe8"))
        assert (await connection.close_frame())[0] == (1000 if data == b"{}" else 1007)
        await connection.rest()
    await attacked.is_unharmed_but_told(0 if data == b"{}" else 1)
    assert "Fatal error" not in caplog.text


async def test_a_bomb_in_an_answer_is_passed_over(attacked: Attacked) -> None:
    """ACK-05, D-38: deep, double, odd: no answer, no SyncError, no end of the connection."""
    wire = await attacked.hub.client(genuine(sub="attacker"))
    socket = await wire.join(TOPIC, ["Home-open", "org.example.other"])
    sent = request("org.example.other")
    await wire.post(sent)
    id = (await socket.next())["id"]
    for text in (
        "[" * 60_000,
        "[" * 30_000 + "]" * 30_000,
        f'{{"id": "{id}", "id": "{id}", "status": "500"}}',
        f'{{"id": "{id}", "status": "500", "statu\\u0073": "500"}}',
        f'{{"id": "{id}", "status": NaN}}',
        f'{{"id": "{id}{LONE}", "status": "500"}}',
        f'{{"id": "{"x" * 60_000}", "status": "500"}}',
        '{"id": 7, "status": "500"}',
        f'[{{"id": "{id}", "status": "500"}}]',
        f'{{"id": "{id}", "status": "500"}} ' * 2,
        '{"timestamp": "2026-01-01T00:00:00Z", "id": "x", "event": {}}',
        "",
        "null",
    ):
        await socket.send(text)
    await socket.send(b'{"id": "' + id.encode() + b'", "status": "500"}')
    home = request("Home-open", topic=TOPIC)
    assert (await wire.post(home)).status_code == 202
    assert (await socket.next())["id"] == home["id"]
    assert (await attacked.victim.followed())["id"] == home["id"]
