"""The hub that these tests talk to, and servers for sessions that several hubs share."""

from hub_server import hub, pytest_generate_tests, start_hub
from redis_server import own_redis, redis_of_worker, redis_server

__all__ = [
    "hub",
    "own_redis",
    "pytest_generate_tests",
    "redis_of_worker",
    "redis_server",
    "start_hub",
]
