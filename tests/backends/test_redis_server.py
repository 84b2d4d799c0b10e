"""Which servers are taken for one that keeps sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from fhircast_hub.backends.redis import Server
from fhircast_hub.backends.redis.server import Lost
from redis_server import free_port

if TYPE_CHECKING:
    from redis_cluster import RedisCluster
    from redis_server import RedisServer


async def test_a_replica_is_no_master(own_redis: RedisServer) -> None:
    """Guarantee 1: it was demoted; what it holds is a copy, and what it is told is not kept."""
    with own_redis.client() as client:
        client.replicaof("127.0.0.1", str(free_port()))
    with pytest.raises(Lost, match="replica"):
        await Server(own_redis.url).connect()


async def test_a_node_of_a_cluster_is_no_single_server(redis_cluster: RedisCluster) -> None:
    """SEC-03: said in words, with the URL that is right."""
    with pytest.raises(Lost, match=r"redis\+cluster"):
        await Server(redis_cluster.nodes[0].url).connect()


async def test_a_single_server_is_no_cluster(redis_server: RedisServer) -> None:
    """SEC-03: said in words."""
    url = redis_server.url.replace("redis", "redis+cluster")
    with pytest.raises(Lost, match="of no cluster"):
        await Server(url).connect()
