"""What clients of the STU2 drafts read differently: the current context as an array (D-47)."""

from __future__ import annotations

import msgspec
from msgspec import Raw


class _View(msgspec.Struct, frozen=True):
    type: str = msgspec.field(name="context.type")
    version_id: str = msgspec.field(name="context.versionId")
    context: Raw


def as_stu2(view: bytes) -> bytes:
    """Return the answer to a GET in the form of STU2: one element, or none without a context.

    Args:
        view: The answer in the form of 3.0.0, from `encode_current_context`.
    """
    it = msgspec.json.decode(view, type=_View)
    if not it.type:
        return b"[]"
    element = {
        "contextType": it.type,
        "context.versionId": it.version_id,
        "context": it.context,
    }
    return msgspec.json.encode([element])
