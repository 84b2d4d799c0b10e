"""The hub that these tests talk to, and servers for sessions that several hubs share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hub_server import hub, pytest_generate_tests, start_hub
from redis_cluster import cluster_of_worker, own_cluster, redis_cluster
from redis_server import own_redis, redis_of_worker, redis_server

if TYPE_CHECKING:
    from redis_cluster import RedisCluster
    from redis_server import RedisServer

__all__ = [
    "cluster_of_worker",
    "hub",
    "own_cluster",
    "own_redis",
    "pytest_generate_tests",
    "redis_cluster",
    "redis_of_worker",
    "redis_server",
    "start_hub",
]


@pytest.fixture(params=["redis_server", "redis_cluster"])
def store(request: pytest.FixtureRequest) -> RedisServer | RedisCluster:
    """Where hubs keep the sessions that they share: one server, and a cluster."""
    found: RedisServer | RedisCluster = request.getfixturevalue(request.param)
    return found
