"""JSON that can be read in one way only."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from builders import PATIENT, item, message
from fhircast_hub.protocol.errors import InvalidRequest
from fhircast_hub.protocol.json_text import MAX_DEPTH, AmbiguousJson, canonical_json
from fhircast_hub.protocol.messages import encode_notification, parse_notification, parse_response
from hypothesis import given
from hypothesis import strategies as st

OPEN = msgspec.json.encode(message("Patient-open", [item(PATIENT)], id="e-1"))


def checked(text: bytes) -> bytes:
    return canonical_json(text, msgspec.json.decode(text))


def nested(depth: int, core: bytes = b"") -> bytes:
    return (
        b'{"a":[' * (depth // 2)
        + b"[" * (depth % 2)
        + core
        + b"]" * (depth % 2)
        + b"]}" * (depth // 2)
    )


@pytest.mark.parametrize(
    ("plain", "twice"),
    [
        (b'"id":"e-1"', b'"id":"e-1","id":"e-1"'),
        (b'"hub.topic":', b'"hub.topic":"another","hub.topic":'),
        (b'"key":"patient"', b'"key":"patient","k\\u0065y":"patient"'),
        (b'"resourceType":"Patient"', b'"resourceType":"Patient","resourceType":"Group"'),
        (b'"id":"pt-1"', b'"id":"pt-1","a:b":":","a:b":{"c":1}'),
        (b'"id":"pt-1"', b'"id":"pt-1","x":1,"x":1,"y":"\\u003A\\u003a"'),
        (b'"id":"pt-1"', b'"id":"pt-1","\\u003a":1,":":1'),
    ],
)
def test_a_name_that_occurs_twice_is_refused_wherever_it_stands(plain: bytes, twice: bytes) -> None:
    """GEN-01, GEN-05: two readers must not see two patients in one event."""
    assert plain in OPEN
    with pytest.raises(InvalidRequest, match=r"^body: a name occurs twice in one object$"):
        parse_notification(OPEN.replace(plain, twice))


@pytest.mark.parametrize("more", [b'"\\u003a":1', b'"a":[{"x":1},{"x":1}]', b'"x:y":"http://:"'])
def test_colons_and_equal_names_of_different_objects_are_nothing_odd(more: bytes) -> None:
    """GEN-04: what is not ours passes through."""
    parse_notification(OPEN.replace(b'"id":"pt-1"', b'"id":"pt-1",' + more))


@given(pairs=st.lists(st.tuples(st.sampled_from(["a", ":", "\\", "é", ""]), st.text(':{["\\ é'))))
def test_exactly_repeated_names_are_refused(pairs: list[tuple[str, str]]) -> None:
    """GEN-01: however names and values are written."""
    for ascii_only in (True, False):
        members = [
            json.dumps(name, ensure_ascii=ascii_only).replace(":", ":" if ascii_only else "\\u003a")
            + ":"
            + json.dumps(text)
            for name, text in pairs
        ]
        text = ("{" + ",".join(members) + "}").encode()
        if len(dict(pairs)) == len(pairs):
            assert msgspec.json.decode(checked(text)) == dict(pairs)
        else:
            with pytest.raises(AmbiguousJson):
                checked(text)


@pytest.mark.parametrize(
    "value",
    ["NaN", "Infinity", "-Infinity", "1e999", r'"\ud800"', r'"\udc00\ud800"', r'"\ud83d x"'],
)
def test_what_many_readers_cannot_read_is_refused(value: str) -> None:
    """GEN-01: numbers that are none, halves of characters."""
    with pytest.raises(InvalidRequest, match=r"^body: "):
        parse_notification(OPEN.replace(b'"pt-1"', value.encode()))
    assert parse_response(f'{{"id":"e-1","status":200,"x":{value}}}') is None


@pytest.mark.parametrize("core", [b"", b'1,"[{[{"', b'{"a":{"b":""}}'])
def test_nesting_has_an_end(core: bytes) -> None:
    """GEN-01: parsers of subscribers stop at 64, and would lose sync."""
    inner = core.count(b"{") if core.startswith(b"{") else 0
    checked(nested(MAX_DEPTH - inner, core))
    for depth in (MAX_DEPTH - inner + 1, 900, 100_000):
        with pytest.raises(InvalidRequest, match=r"^body: (more than 64 objects|broken JSON)"):
            parse_notification(nested(depth, core))


def depth_of(value: Any) -> int:
    if isinstance(value, dict):
        value = list(value.values())
    return 1 + max(map(depth_of, value), default=0) if isinstance(value, list) else 0


@given(
    value=st.recursive(
        st.sampled_from(['"', "\\", '\\"[', "]}", "", 1]),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text('"\\[}'), inner, max_size=2)
        ),
    ),
    depth=st.integers(55, 66),
)
def test_depth_is_counted_in_values_not_in_text(value: Any, depth: int) -> None:
    """GEN-01: brackets and quotes in names and texts are no nesting."""
    text = nested(depth, json.dumps(value).encode())
    if depth + depth_of(value) <= MAX_DEPTH:
        assert json.loads(checked(text)) == json.loads(text)
    else:
        with pytest.raises(AmbiguousJson):
            checked(text)


@pytest.mark.parametrize("times", [1, 20_000])
def test_escapes_hide_no_nesting(times: int) -> None:
    """GEN-01: however long the text is."""
    words = json.dumps('\\"[\\\\"' * times).encode()
    assert checked(nested(MAX_DEPTH, words)) == nested(MAX_DEPTH, words)
    with pytest.raises(AmbiguousJson):
        checked(nested(MAX_DEPTH + 1, words))


def test_many_brackets_side_by_side_or_in_text_are_not_deep() -> None:
    """GEN-01."""
    text = msgspec.json.encode([[] for _ in range(500)] + ["[{" * 500])
    assert checked(text) == text
    assert checked(b'"' + b"[" * 500 + b'"')


@pytest.mark.parametrize(
    "sent",
    [
        '{"id":"e-1","id":"e-2","status":200}',
        '{"id":"e-1","status":200,"status":500}',
        '{"id":"e-1","status":200,"x":{"a":1,"a":2}}',
        '{"id":"e-1","status":200,"x":' + "[" * 64 + "]" * 64 + "}",
    ],
)
def test_a_response_that_can_be_read_two_ways_is_none(sent: str) -> None:
    """D-38, GEN-02: ignored, never an error."""
    assert parse_response(sent) is None
    assert parse_response(sent.encode()) is None


@given(words=st.text(max_size=40))
def test_sound_json_is_sound_however_it_is_spaced(words: str) -> None:
    """GEN-01: only what is ambiguous is refused."""
    value: Any = {words: [words, {words: words}], "n": [1, 2.5, None, True]}
    for text in (json.dumps(value), json.dumps(value, indent=1, ensure_ascii=False)):
        assert checked(text.encode()) == msgspec.json.encode(value, order="sorted")


def test_what_is_accepted_is_forwarded_as_it_came() -> None:
    """CONT-22: the check leaves the bytes alone."""
    body = OPEN.replace(b'"pt-1"', b'"pt-1", "x" : 8.20')
    assert b'"pt-1", "x" : 8.20' in encode_notification(parse_notification(body))
