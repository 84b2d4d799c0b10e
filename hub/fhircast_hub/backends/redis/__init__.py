"""Sessions in Redis or Valkey: as many processes as are wanted serve the same sessions.

One server; every key has an expiry and carries a hash tag of its topic. What changes a session and
what tells of it is one script (`lua/`), so that either both happen or neither.
"""

from fhircast_hub.backends.redis.backend import RedisBackend
from fhircast_hub.backends.redis.server import Server

__all__ = ["RedisBackend", "Server"]
