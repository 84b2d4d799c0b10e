"""JSON that can be read in one way only: no name twice in an object, no bottomless nesting.

The parser keeps the last of two equal names, others keep the first: a hub that judges one patient
and forwards both would let two applications show two. NaN, Infinity, lone surrogates and bytes that
are no UTF-8 are what the parser itself refuses.
"""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

MAX_DEPTH = 64
"""Objects and arrays within each other: where parsers of subscribers commonly stop reading."""

_TWICE = "a name occurs twice in one object"
_TO_BRACKETS = bytes.maketrans(b"{}", b"[]")
_ALL_ELSE = bytes(set(range(256)) - set(b'{}[]"'))
_ALL_BUT_MARKS = bytes(set(range(256)) - set(b"{}[]:"))
_ESCAPED = re.compile(rb"\\.")
_MANY = 32_768
"""Bytes beyond which many escapes would make the expression slow; below, it is the quicker way."""
_STRING = re.compile(rb'"[^"]*"')
_encode_sorted = msgspec.json.Encoder(order="sorted").encode
_TOO_DEEP = f"more than {MAX_DEPTH} objects and arrays within each other"


class AmbiguousJson(ValueError):
    """The text is JSON, but not every reader would read it, or read the same."""


def read_json(text: str | bytes) -> object:
    """Return the value of a text that can be read in one way only.

    Raises:
        ValueError: It is no JSON, or ambiguous.
    """
    raw = text.encode() if isinstance(text, str) else text
    try:
        value = msgspec.json.decode(raw)
    except RecursionError:
        raise AmbiguousJson(_TOO_DEEP) from None
    canonical_json(raw, value)
    return value


def canonical_json(text: bytes, value: object) -> bytes:
    """Return the value as JSON without spaces and with sorted names.

    Args:
        text: The JSON that came.
        value: What the parser made of it.

    Raises:
        AmbiguousJson: A name occurs twice in an object, or the nesting is too deep.
    """
    canonical = _encode_sorted(value)
    # One pass over the text finds what could be names and nesting: there is more of both in the
    # text than in the value, whose strings hold some of these marks.
    marks = text.translate(_TO_BRACKETS, _ALL_BUT_MARKS)
    if marks.count(b"[") > MAX_DEPTH:
        _check_depth(canonical)
    # Every name has its colon, so a value that lost one has fewer of them than its text. Only a
    # colon written as an escape could make up for that; then the text is read once more, slowly.
    if 0x5C in text and b"\\u003" in text:  # looking for one byte costs nearly nothing
        json.loads(text, object_pairs_hook=_check_names, parse_int=str, parse_float=str)
    elif marks.count(b":") != canonical.count(b":"):
        raise AmbiguousJson(_TWICE)
    return canonical


def _check_depth(canonical: bytes) -> None:
    """Peel the brackets off, one level at a time: walking the values would cost four times more."""
    brackets = _unescaped(canonical).translate(_TO_BRACKETS, _ALL_ELSE)
    brackets = _STRING.sub(b"", brackets.replace(b'""', b""))
    for _ in range(MAX_DEPTH):
        brackets = brackets.replace(b"[]", b"")
        if not brackets:
            return
    raise AmbiguousJson(_TOO_DEEP)


def _unescaped(canonical: bytes) -> bytes:
    """Return JSON without escapes, so that every quote in it begins or ends a string."""
    if 0x5C not in canonical:
        return canonical
    if len(canonical) < _MANY:
        return _ESCAPED.sub(b"", canonical)
    return canonical.replace(b"\\\\", b"").replace(b'\\"', b"")


def _check_names(pairs: list[tuple[str, Any]]) -> None:
    if len({name for name, _ in pairs}) != len(pairs):
        raise AmbiguousJson(_TWICE)
