"""Backends of both kinds, each made empty."""

from redis_cluster import cluster_of_worker, own_cluster, redis_cluster
from redis_server import own_redis, redis_of_worker, redis_server

__all__ = [
    "cluster_of_worker",
    "own_cluster",
    "own_redis",
    "redis_cluster",
    "redis_of_worker",
    "redis_server",
]
