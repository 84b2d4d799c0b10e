"""What the hub reads by itself in front of the libraries' parsers, with those as the judges."""

from __future__ import annotations

import asyncio
from functools import cache

import httptools
from client_frames import cut, told_by_websockets
from fhircast_hub.web.same_head import SameHead, head_of
from request_reader import ReadRequest
from security.fuzz.target import Target
from wire_reader import told_by_a_wire

_NOT_UTF_8 = 1007


@cache
def _runner() -> asyncio.Runner:
    return asyncio.Runner()


def read_frames(data: bytes) -> object:
    """The first two bytes say where the network cuts the others."""
    frames = data[2:]
    told = _runner().run(told_by_a_wire(cut(frames, data[:2])))
    expected = told_by_websockets(frames)
    if told.code == _NOT_UTF_8:  # how that is said depends on how far a parser has read on
        told.sent = expected.sent
    assert told == expected
    return told


def read_same_head(data: bytes) -> object:
    """A request without a body, and behind it one that may be like it."""
    first = head_of(data)
    second = data[len(first) :]
    ReadRequest(first)
    alike = SameHead.of(first) if first else None
    span = alike.body_at(second) if alike is not None else None
    if span is not None and span[1] <= len(second):
        read = ReadRequest(second[: span[1]])
        assert read.judged == ReadRequest(first).judged
        assert (read.is_complete, read.body) == (True, second[slice(*span)])
    return span


WIRE = {
    "wire-frames": Target(read_frames, seeds=("wire",)),
    "same-head": Target(read_same_head, (httptools.HttpParserError,), seeds=("request",)),
}
"""What is read without a library, by name."""
