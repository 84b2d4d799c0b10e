"""The names of everything that is kept: keys, channels, and the fields of a session."""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode
from functools import lru_cache
from typing import NamedTuple

import msgspec

TOPICS = "fhircast:topics"
"""Sorted set of all topics: since when nobody is subscribed, infinite while somebody is."""

RECORDS = "fhircast:records"
"""Sorted set of all subscriptions by their expiry."""


class TopicKeys(NamedTuple):
    """What is kept of one topic.

    The part in braces is all that a cluster looks at: what is of one topic lies together. It is a
    digest, since a topic may hold anything, and is nobody's to read in a list of keys.

    Attributes:
        tag: What stands for the topic.
        session: Hash: the session.
        records: Hash: its subscriptions by endpoint.
        channel: Where what was committed is published.
    """

    tag: str
    session: str
    records: str
    channel: str


@lru_cache(maxsize=4096)
def of_topic(topic: str) -> TopicKeys:
    """Return the keys of a topic."""
    return of_tag(_digest(topic))


def of_tag(tag: str) -> TopicKeys:
    """Return the keys of the topic with this tag."""
    base = f"fhircast:{{{tag}}}:"
    return TopicKeys(tag, f"{base}session", f"{base}records", f"{base}events")


def of_endpoint(endpoint_id: str) -> str:
    """Return the key that tells to which topic an endpoint belongs.

    An endpoint's id opens a socket, so no key holds it.
    """
    return f"fhircast:endpoint:{_digest(endpoint_id)}"


def topics_of_holder(holder: str) -> str:
    """Return the key of the topics that a holder has made."""
    return f"fhircast:holder:{_digest(holder)}:topics"


def records_of_holder(holder: str) -> str:
    """Return the key of the subscriptions that a holder has."""
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
