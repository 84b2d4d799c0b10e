"""The demo's development authorization server: SMART App Launch, for trying and not for use."""

from __future__ import annotations

from fhircast_demo.smart.server import DevelopmentServer
from fhircast_demo.smart.settings import SmartSettings

__all__ = ["DevelopmentServer", "SmartSettings"]
