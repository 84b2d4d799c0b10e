"""The hubs that these tests load: ours, and fakes."""

from app_server import serve
from hub_server import hub, start_hub

__all__ = ["hub", "serve", "start_hub"]
