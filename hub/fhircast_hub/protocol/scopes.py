"""FHIRcast scopes: `fhircast/<event or *>.<read, write or *>` (chapter 2.2; SCO-01 … SCO-03)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from fhircast_hub.protocol.errors import Forbidden

Access = Literal["read", "write"]

_SCOPE = re.compile(r"fhircast/(\*|[A-Za-z][A-Za-z0-9_.-]*)\.(read|write|\*)")


@dataclass(frozen=True, slots=True)
class Scopes:
    """What a token allows.

    Attributes:
        read: Comparison keys of events that may be received; "*" stands for all.
        write: Comparison keys of events that may be requested; "*" stands for all.
    """

    read: frozenset[str]
    write: frozenset[str]

    def allow(self, event_key: str, access: Access) -> bool:
        """Tell whether the event (its lower-case key) may be received or requested."""
        granted = self.read if access == "read" else self.write
        return "*" in granted or event_key in granted

    def require(self, event_key: str, access: Access, *, event: str) -> None:
        """Pass if the event is allowed.

        Raises:
            Forbidden: No scope of the token covers the event.
        """
        if not self.allow(event_key, access):
            raise Forbidden(
                f"Authorization: the token has no scope fhircast/{event}.{access}",
                rule="SCO-02" if access == "read" else "SCO-03",
            )


ALL = Scopes(read=frozenset("*"), write=frozenset("*"))
"""Every event, both ways: what a hub without authentication grants."""


def parse_scopes(text: str) -> Scopes:
    """Return the FHIRcast scopes in a space-separated scope string; all else is passed over.

    Names are compared without regard to case; a partial wildcard like `Patient-*` grants nothing.
    Only a space separates: an issuer that took a line end for part of one odd scope granted none.

    Spec: 2.2, RFC 6749 3.3; SCO-01, GEN-03.
    """
    granted: dict[str, set[str]] = {"read": set(), "write": set()}
    for match in map(_SCOPE.fullmatch, text.split(" ")):
        if match is None:
            continue
        event, access = match[1].lower(), match[2]
        for one in ("read", "write") if access == "*" else (access,):
            granted[one].add(event)
    return Scopes(read=frozenset(granted["read"]), write=frozenset(granted["write"]))
