"""The scenarios, in the order in which they are played."""

from __future__ import annotations

from fhircast_conformance.subscriber.scenarios import (
    content,
    failing,
    following,
    joining,
    leaving,
    requesting,
)
from fhircast_conformance.subscriber.stage import registered

_ORDER = (joining, following, content, requesting, failing, leaving)

SCENARIOS = tuple(
    sorted(
        registered(), key=lambda it: [part.__name__ for part in _ORDER].index(it.body.__module__)
    )
)
