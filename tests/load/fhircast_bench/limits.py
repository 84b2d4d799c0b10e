"""Which limit of a hub was met, and what to set there: a run that was put off measured nothing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fhircast_bench.http_lane import Answer

_PUT_OFF = frozenset({429, 503})
_SETTING = re.compile(r"\bFHIRCAST_MAX_[A-Z_]+\b")

_SETTINGS = {
    "too many connections from this address": "FHIRCAST_MAX_UPGRADES_PER_MINUTE",
    "too many connections": "FHIRCAST_MAX_CONNECTIONS and FHIRCAST_MAX_CONNECTIONS_PER_PEER",
}
"""What the hub of this project says, without naming the setting, and the setting."""


def is_put_off(answer: Answer) -> bool:
    """Tell whether an answer means: not now, there is a limit."""
    return answer.status in _PUT_OFF


def advice(said: str) -> str:
    """Return what to do about the limit that a hub's words are about."""
    named = _SETTING.search(said)
    setting = named[0] if named else next((it for key, it in _SETTINGS.items() if key in said), "")
    if not setting:
        return "raise that limit of the hub for the test, or load it less"
    return f"raise {setting} at the hub for the test, or load it less"


def told(answer: Answer) -> str:
    """Return an answer in one line: status, words, and when to come back."""
    words = [str(answer.status or ""), answer.said]
    if answer.retry_after:
        words.append(f"(Retry-After: {answer.retry_after})")
    return " ".join(filter(None, words))
