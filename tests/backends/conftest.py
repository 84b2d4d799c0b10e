"""Backends of both kinds, each made empty."""

from redis_server import own_redis, redis_of_worker, redis_server

__all__ = ["own_redis", "redis_of_worker", "redis_server"]
