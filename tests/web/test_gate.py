"""The gate: what it asks once more when the body is there."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from fhircast_hub.clock import SystemClock
from fhircast_hub.config import load_settings
from fhircast_hub.protocol.errors import TokenExpired
from fhircast_hub.security.grant import ANYBODY
from fhircast_hub.security.tokens import NoAuthentication
from fhircast_hub.web.gate import Gate


def test_a_token_that_ended_while_the_body_came_does_nothing() -> None:
    """SMART-08: a slow body must not outlive its token."""
    clock = SystemClock()
    gate = Gate(NoAuthentication(), load_settings({}), clock)
    gate.require_live(ANYBODY)
    gate.require_live(replace(ANYBODY, expires_at=clock.utc() + timedelta(seconds=60)))
    with pytest.raises(TokenExpired):
        gate.require_live(replace(ANYBODY, expires_at=clock.utc() - timedelta(seconds=1)))
