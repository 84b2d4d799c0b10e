"""The hub that these tests talk to, and a server for sessions that several hubs share."""

from hub_server import hub, start_hub
from redis_server import redis_of_worker, redis_server

__all__ = ["hub", "redis_of_worker", "redis_server", "start_hub"]
