"""New inputs from old ones: bytes turned, cut, doubled and joined, words and JSON values put in.

All that is drawn comes from the generator that is passed in, so a seed gives the same inputs again.
"""

from __future__ import annotations

import json
import math
from copy import deepcopy
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

MAX_BYTES = 16_384

_WORDS = (
    *(b"\0", b"\n", b"\r\n", b" ", b"%", b"%00", b"%ff", b"&", b"=", b"+", b"/", b"//", b".."),
    *(b"[", b"]", b"{", b"}", b'"', b"\\", b"\\u003a", b"\\ud800", b"\\u0000", b":", b",", b"'"),
    *(b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\xe2\x80\xae", b"\xc5\xbf"),
    *(
        b"NaN",
        b"Infinity",
        b"-0",
        b"1e999",
        b"1e-99999999999999999999",
        b"9" * 30,
        b"9" * 400,
        b"0x1",
        b"null",
        b"true",
    ),
    *(b"hub.topic", b"hub.event", b"hub.mode", b"hub.lease_seconds", b"context", b"resource"),
    *(b"resourceType", b"reference", b"updates", b"select", b"report", b"patient", b"study"),
    *(b"key", b"id", b"DiagnosticReport", b"Patient-open", b"-close", b"PUT", b"DELETE", b"POST"),
    *(b"fhircast/", b".read", b"*", b"Bearer ", b"exp", b"alg", b"none", b"kid", b"state=kept"),
    *(b"T00:00", b"+00:00", b"-23:59", b"Z", b"9999-12-31", b"0001-01-01", b"24:00", b"ge", b"|"),
)
_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1.5, 10**30, "", " ", "x" * 300, [], {}, [None], [[]], {"": {}}),
    *(
        "v1",
        "dr-1",
        "Patient/pt-1",
        "DiagnosticReport/dr-1",
        "report",
        "select",
        "é",
        "\0",
        "\u202e",
    ),
    *({"reference": "Observation/ob-1"}, {"resourceType": "Patient", "id": "pt-2"}, math.inf),
)


def mutated(corpus: Sequence[bytes], random: Random) -> bytes:
    """Return an input made from one or two of the corpus."""
    data = random.choice(corpus)
    if random.random() < 0.5:
        data = _other_value(data, random)
    for _ in range(random.choice((0, 1, 1, 1, 2, 4, 8))):
        data = random.choice(_WAYS)(data, corpus, random)
    return data[:MAX_BYTES]


def _turned(data: bytes, _corpus: Sequence[bytes], random: Random) -> bytes:
    if not data:
        return bytes([random.randrange(256)])
    place = random.randrange(len(data))
    return data[:place] + bytes([random.randrange(256)]) + data[place + 1 :]


def _cut(data: bytes, _corpus: Sequence[bytes], random: Random) -> bytes:
    first, last = sorted(random.randrange(len(data) + 1) for _ in range(2))
    if random.random() < 0.8:
        last = min(last, first + 16)
    return data[:first] + data[last:]


def _doubled(data: bytes, _corpus: Sequence[bytes], random: Random) -> bytes:
    first, last = sorted(random.randrange(len(data) + 1) for _ in range(2))
    last = min(last, first + 64)
    times = random.choice((2, 2, 3, 70))
    return data[:first] + data[first:last] * times + data[last:]


def _joined(data: bytes, corpus: Sequence[bytes], random: Random) -> bytes:
    other = random.choice(corpus)
    return data[: random.randrange(len(data) + 1)] + other[random.randrange(len(other) + 1) :]


def _worded(data: bytes, _corpus: Sequence[bytes], random: Random) -> bytes:
    place = random.randrange(len(data) + 1)
    return data[:place] + random.choice(_WORDS) + data[place + random.choice((0, 0, 1, 4)) :]


_WAYS: tuple[Callable[[bytes, Sequence[bytes], Random], bytes], ...] = (
    _turned,
    _cut,
    _doubled,
    _joined,
    _worded,
    _worded,
)


def _other_value(data: bytes, random: Random) -> bytes:
    """Replace, rename, remove or wrap one value, if the input is JSON."""
    try:
        value = json.loads(data)
        _change(value, random)
        text = json.dumps(value, ensure_ascii=random.random() < 0.5)
    except (ValueError, RecursionError):
        return data
    return text.encode(errors="replace")


def _change(value: Any, random: Random) -> None:
    for _ in range(random.choice((1, 1, 2, 3))):
        places = _places(value)
        if not places:
            break
        container, key = random.choice(places)
        match random.randrange(5):
            case 0 if isinstance(container, dict):
                container[random.choice(_WORDS).decode("latin-1")] = container.pop(key)
            case 1:
                del container[key]
            case 2:
                container[key] = [container[key]] * random.choice((1, 2, 70))
            case 3:
                other, name = random.choice(places)
                container[key] = json.loads(json.dumps(_at(other, name)))
            case _:
                container[key] = deepcopy(random.choice(_VALUES))


def _at(container: Any, key: Any) -> Any:
    try:
        return container[key]
    except (KeyError, IndexError):
        return None


def _places(node: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) in a JSON value."""
    if not isinstance(node, dict | list):
        return []
    keys = list(node) if isinstance(node, dict) else list(range(len(node)))
    return [(node, key) for key in keys] + [it for key in keys for it in _places(node[key])]
