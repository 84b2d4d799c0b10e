"""Parts of a message as typed values; what does not fit is refused without being quoted."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from fhircast_hub.protocol.errors import InvalidRequest

T = TypeVar("T")


def decode_part(raw: bytes, shape: type[T], field: str, rule: str) -> T:
    """Return a part of a message as a typed value.

    Raises:
        InvalidRequest: The part does not have this shape; the message names where, never what.
    """
    try:
        return msgspec.json.decode(raw, type=shape)
    except msgspec.ValidationError as error:
        raise InvalidRequest(field, _without_values(str(error)), rule=rule) from None
    except msgspec.DecodeError as error:
        raise InvalidRequest(
            field, f"broken JSON ({_without_values(str(error))})", rule=rule
        ) from None
    except (ValueError, RecursionError):
        raise InvalidRequest(field, "broken JSON", rule=rule) from None


def _without_values(problem: str) -> str:
    """Cut what could quote the sender: unknown names and values come in backquotes or quotes."""
    return problem.split("'", 1)[0].rstrip()
