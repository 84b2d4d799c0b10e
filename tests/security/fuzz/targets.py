"""The table of all parsers."""

from __future__ import annotations

from security.fuzz.client_targets import CLIENT
from security.fuzz.demo_targets import DEMO
from security.fuzz.hub_targets import HUB
from security.fuzz.wire_targets import WIRE

TARGETS = {**HUB, **WIRE, **CLIENT, **DEMO}
