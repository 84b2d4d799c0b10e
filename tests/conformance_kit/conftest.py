"""The hub that these tests talk to."""

from hub_server import hub, start_hub

__all__ = ["hub", "start_hub"]
