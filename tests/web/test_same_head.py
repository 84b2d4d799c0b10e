"""Which heads are alike, and that the parser agrees: the same request, but for its length."""

from __future__ import annotations

import pytest
from fhircast_hub.web.same_head import SameHead, head_of
from hypothesis import given, settings
from hypothesis import strategies as st
from request_reader import ReadRequest

HEAD = (
    b"POST /api/hub HTTP/1.1\r\nHost: hub\r\nAuthorization: Bearer x\r\n"
    b"Content-Length: 12\r\nContent-Type: application/json\r\n\r\n"
)


def same(head: bytes = HEAD) -> SameHead:
    it = SameHead.of(head)
    assert it is not None
    return it


@pytest.mark.parametrize(
    ("length", "body"), [(b"5", b"x" * 5), (b"12", b""), (b"0", b""), (b"123456789", b"x")]
)
def test_a_head_with_another_length_is_the_same(length: bytes, body: bytes) -> None:
    """EVT-03: the body begins behind it, and need not have come."""
    head = HEAD.replace(b"12", length)
    assert same().body_at(head + body) == (len(head), len(head) + int(length))


@pytest.mark.parametrize(
    "length", [b"", b"+5", b"-5", b" 5", b"5 ", b"5, 5", b"0x5", b"1e1", b"1234567890", b"\xb2"]
)
def test_what_is_no_plain_length_is_another_head(length: bytes) -> None:
    """GEN-01: what it may mean is the parser's to tell."""
    assert same().body_at(HEAD.replace(b"12", length) + b"x" * 12) is None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"POST", b"PUT"),
        (b"/api/hub", b"/api/hub/x"),
        (b"/1.1", b"/1.0"),
        (b"Host: hub", b"Host: Hub"),
        (b"Bearer x", b"Bearer y"),
        (b"Content-Length", b"content-length"),
        (b"json", b"json; charset=utf-8"),
        (b"\r\n\r\n", b"\r\nContent-Length: 12\r\n\r\n"),
        (b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n"),
        (b"POST", b"\r\nPOST"),
    ],
)
def test_any_other_difference_makes_another_head(old: bytes, new: bytes) -> None:
    """SUB-10: byte by byte."""
    assert same().body_at(HEAD.replace(old, new) + b"x" * 12) is None


@pytest.mark.parametrize("end", range(0, len(HEAD), 7))
def test_half_a_head_is_none(end: int) -> None:
    """EVT-03: what is to come may be something else."""
    assert same().body_at(HEAD[:end]) is None
    assert head_of(HEAD[:end]) == b""


def test_a_head_ends_where_its_body_begins() -> None:
    assert head_of(HEAD + b"{}\r\n\r\n") == HEAD
    assert head_of(b"") == b""


@pytest.mark.parametrize(
    "line",
    [
        b"Transfer-Encoding: chunked",
        b"EXPECT: 100-continue",
        b"upgrade: h2c",
        b"Origin: https://app.example",
        b"Connection: close",
        b"Connection: Keep-Alive, Upgrade",
        b"Connection:keep-alive",
        b"Content-Length: 12",
        b"Content-Length : 12",
        b"Content-Length:",
    ],
)
def test_a_head_that_says_more_is_judged_every_time(line: bytes) -> None:
    """D-52, GEN-01: what an answer, or the end of the request, depends on beside the body."""
    assert SameHead.of(HEAD.replace(b"\r\n", b"\r\n" + line + b"\r\n", 1)) is None


@pytest.mark.parametrize(
    ("old", "new"),
    [(b"/1.1", b"/1.0"), (b"Content-Length: 12\r\n", b""), (b": 12", b": 1234567890")],
)
def test_a_head_without_a_plain_length_is_judged_every_time(old: bytes, new: bytes) -> None:
    """GEN-01."""
    assert SameHead.of(HEAD.replace(old, new)) is None


@pytest.mark.parametrize("line", [b"Connection: keep-alive", b"CONNECTION: Keep-Alive", b"X: y"])
def test_what_means_nothing_does_not_matter(line: bytes) -> None:
    """EVT-03: clients that say that they keep their connection."""
    head = HEAD.replace(b"\r\n", b"\r\n" + line + b"\r\n", 1)
    assert same(head).body_at(head) == (len(head), len(head) + 12)


# With the parser as the judge


LINES = st.sampled_from(
    [
        b"Host: hub",
        b"Authorization: Bearer x",
        b"Content-Type: application/json",
        b"X-Content-Length: 7",
        b"X: content-length: 3",
        b"Connection: keep-alive",
        b"Connection: close",
        b"Accept: */*",
        b"Origin: x",
        b"Transfer-Encoding: chunked",
    ]
)
LENGTH_NAMES = st.sampled_from([b"Content-Length: ", b"content-length:", b"CONTENT-LENGTH: \t"])


@st.composite
def heads(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A head up to the digits of its length, and from there."""
    before = [b"POST /api/hub HTTP/1.1", *draw(st.lists(LINES, max_size=3))]
    after = draw(st.lists(LINES, max_size=3))
    return (
        b"\r\n".join(before) + b"\r\n" + draw(LENGTH_NAMES),
        b"\r\n".join([b"", *after]) + b"\r\n\r\n",
    )


@settings(max_examples=500)
@given(
    heads(),
    st.binary(max_size=12),
    st.tuples(st.integers(0, 300), st.binary(max_size=2), st.integers(0, 2)),
    st.one_of(st.integers(0, 20).map(str), st.text("0123456789+- ,", max_size=11)),
)
def test_the_parser_reads_the_same_head(
    parts: tuple[bytes, bytes], body: bytes, edit: tuple[int, bytes, int], length: str
) -> None:
    """GEN-01: whatever passes for alike is, to the parser, but for the length of the body."""
    before, after = parts
    first = before + b"%d" % len(body) + after
    found = SameHead.of(first)
    if found is None:
        return
    at, inserted, removed = edit
    second = before + length.encode() + after
    second = second[:at] + inserted + second[at + removed :] + b"x" * 20
    span = found.body_at(second)
    if span is None:
        return
    start, end = span
    assert ReadRequest(first + body).judged == ReadRequest(second[:end]).judged
    if end <= len(second):
        read = ReadRequest(second[:end])
        assert (read.is_complete, read.body) == (True, second[start:end])
