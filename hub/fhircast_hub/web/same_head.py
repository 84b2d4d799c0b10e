"""Recognises a request whose head is, but for the length, that of one that was judged before.

An application that publishes keeps its connection and says the same with every event: the path,
its token, the type. What the parser and the checks made of the first such head holds for the next,
byte for byte the same.
"""

from __future__ import annotations

import re
from typing import Self

_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,9})\r\n", re.IGNORECASE)
_HEAD_END = b"\r\n\r\n"
_MAX_DIGITS = 9

_NOT_ALIKE = (
    b"\r\ntransfer-encoding:",
    b"\r\nexpect:",
    b"\r\nupgrade:",
    # Answered with other headers, by a layer that is passed by here (D-52).
    b"\r\norigin:",
)
"""What makes a request depend on more than its body."""


class SameHead:
    """The head of a request with a body of known length.

    Args:
        before: The head up to the digits of its length.
        after: The head from there.
    """

    __slots__ = ("_after", "_before")

    def __init__(self, before: bytes, after: bytes) -> None:
        self._before = before
        self._after = after

    @classmethod
    def of(cls, head: bytes) -> Self | None:
        """Return what recognises this head, None if it is one that has to be judged every time.

        Args:
            head: A whole head that was judged and found good, with the empty line behind it.
        """
        low = head.lower()
        lengths = list(_LENGTH.finditer(head))
        if len(lengths) != 1 or low.count(b"\r\ncontent-length") != 1:
            return None
        first, _, _ = low.partition(b"\r\n")
        if not first.endswith(b" http/1.1") or any(it in low for it in _NOT_ALIKE):
            return None
        if low.count(b"\r\nconnection:") != low.count(b"\r\nconnection: keep-alive\r\n"):
            return None
        start, end = lengths[0].span(1)
        return cls(head[:start], head[end:])

    def body_at(self, data: bytes | bytearray) -> tuple[int, int] | None:
        """Return where the body begins and where it ends, None if this is another head.

        Args:
            data: What came at the begin of a request; the body need not be complete.
        """
        if not data.startswith(self._before):
            return None
        start = len(self._before)
        end = data.find(b"\r", start, start + _MAX_DIGITS + 1)
        digits = data[start:end] if end > 0 else b""
        if not digits.isdigit() or not data.startswith(self._after, end):
            return None
        body = end + len(self._after)
        return body, body + int(digits)


def head_of(data: bytes) -> bytes:
    """Return the head at the begin of what came, b"" if it is not whole."""
    end = data.find(_HEAD_END)
    return data[: end + len(_HEAD_END)] if end > 0 else b""
