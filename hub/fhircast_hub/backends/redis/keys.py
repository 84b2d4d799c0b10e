"""The names of everything that is kept: keys, channels, and the fields of a session."""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode
from binascii import crc_hqx
from functools import lru_cache
from itertools import count
from typing import NamedTuple

import msgspec

SLOTS = 16_384
"""Parts into which a cluster divides all keys."""

BUCKETS = 16
"""Parts into which topics are divided. Keys of one bucket are in one slot, so that one script may
touch them all; a cluster of more masters than this has some without topics."""

TOPICS = "fhircast:topics"
"""Sorted set that counts all topics; see `quotas`."""


class BucketKeys(NamedTuple):
    """What is kept of the topics of one bucket together.

    Attributes:
        topics: Sorted set of its topics: since when nobody is subscribed, infinite if somebody is.
        all_records: Sorted set of its topics' subscriptions by their expiry.
        held: Sorted set of those that were connected: until when a process holds them.
    """

    topics: str
    all_records: str
    held: str


class TopicKeys(NamedTuple):
    """What is kept of one topic, with what is kept of its bucket.

    The part in braces is all that a cluster looks at: what is of one bucket lies together. A
    topic's tag is a digest, since a topic may hold anything, and is nobody's to read in a list of
    keys.

    Attributes:
        tag: What stands for the topic.
        session: Hash: the session.
        records: Hash: its subscriptions by endpoint.
        channel: Where what was committed is published.
        topics: See `BucketKeys`.
        all_records: See `BucketKeys`.
        held: See `BucketKeys`.
    """

    tag: str
    session: str
    records: str
    channel: str
    topics: str
    all_records: str
    held: str


def slot_of(key: str) -> int:
    """Return the slot in which a cluster keeps a key."""
    start = key.find("{")
    end = key.find("}", start + 1)
    part = key[start + 1 : end] if 0 <= start < end - 1 else key
    return crc_hqx(part.encode(), 0) % SLOTS


def _spread() -> tuple[BucketKeys, ...]:
    """Return the buckets, by names whose slots are far apart: each master of a cluster has some."""
    names: dict[int, str] = {}
    for number in count():
        name = f"fhircast:{{{number}}}:"
        names.setdefault(slot_of(name) * BUCKETS // SLOTS, name)
        if len(names) == BUCKETS:
            break
    kinds = ("topics", "records", "held")
    return tuple(BucketKeys(*[names[it] + kind for kind in kinds]) for it in range(BUCKETS))


ALL_BUCKETS = _spread()


@lru_cache(maxsize=4096)
def of_topic(topic: str) -> TopicKeys:
    """Return the keys of a topic."""
    return of_tag(_digest(topic))


def of_tag(tag: str) -> TopicKeys:
    """Return the keys of the topic with this tag."""
    bucket = ALL_BUCKETS[crc_hqx(tag.encode(), 0) % BUCKETS]
    base = f"{bucket.topics.removesuffix('topics')}{tag}:"
    return TopicKeys(tag, f"{base}session", f"{base}records", f"{base}events", *bucket)


def of_endpoint(endpoint_id: str) -> str:
    """Return the key that tells to which topic an endpoint belongs.

    An endpoint's id opens a socket, so no key holds it.
    """
    return f"fhircast:endpoint:{_digest(endpoint_id)}"


def topics_of_holder(holder: str) -> str:
    """Return the key that counts the topics that a holder has made."""
    return f"fhircast:holder:{_digest(holder)}:topics"


def records_of_holder(holder: str) -> str:
    """Return the key that counts the subscriptions that a holder has."""
    return f"fhircast:holder:{_digest(holder)}:records"


# Fields of a session

_packed = msgspec.msgpack.Encoder().encode


def opened_field(anchor: str) -> bytes:
    """Return the field with the open of a context."""
    return b"o:" + anchor.encode()


def version_field(anchor: str) -> bytes:
    """Return the field with version and patient of a context."""
    return b"v:" + anchor.encode()


def content_field(anchor: str, key: str) -> bytes:
    """Return the field with one shared resource; both names may hold any character."""
    return b"c:" + _packed((anchor, key))


def remembered_field(event_id: str) -> bytes:
    """Return the field with one remembered event."""
    return b"r:" + event_id.encode()


def _digest(text: str) -> str:
    # Whatever JSON can hold is a topic, half a surrogate pair is not: it was refused before.
    digest = hashlib.sha256(text.encode()).digest()[:18]
    return urlsafe_b64encode(digest).decode()
