"""Sessions in Redis or Valkey: as many processes as are wanted serve the same sessions.

One server, the one that Sentinels name, or a cluster; what is kept is laid out alike:

1. Topics are divided into buckets. What is of a topic, and its bucket's lists of topics and of
   subscriptions, has one hash tag. What changes a session and what tells of it is one script
   (`lua/`), so that either both happen or neither.
2. To which topic an endpoint belongs, and what is counted for a limit (`quotas`), lies elsewhere.
   It is written before what it stands for and removed after it: what is left of a process that
   died leads to nothing, and expires or is found when it matters.
3. Every key has an expiry.
4. Whoever may have missed something is told (`hearing`): a number is missing, the server was
   started anew, another one is the master, or the slot of the topic has moved (`cluster`).
"""

from fhircast_hub.backends.redis.backend import RedisBackend
from fhircast_hub.backends.redis.server import Server

__all__ = ["RedisBackend", "Server"]
