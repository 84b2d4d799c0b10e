"""Subscriptions: the form that asks for one, and the record that the hub keeps of it (2.4)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

from fhircast_hub.protocol.errors import Forbidden, InvalidRequest
from fhircast_hub.protocol.events import parse_subscribed_name
from fhircast_hub.protocol.parsing import MAX_ID_LENGTH

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

MAX_EVENTS = 256
"""Event names in one subscription."""
MAX_FORM_FIELDS = 64

_MAX_SHARED = 32
"""Events of a record that looks for another one with the same; the catalogue has 14."""

_LEGACY_FIELDS = {"endpoint": "hub.channel.endpoint", "hub.lease": "hub.lease_seconds"}
"""D-47: what deployed clients call these fields."""


@dataclass(frozen=True, slots=True)
class SubscriptionRequest:
    """A subscribe or unsubscribe form, checked.

    Attributes:
        is_unsubscribe: Whether the subscription shall end.
        topic: The session's topic.
        events: Asked events: comparison key -> spelling of the subscriber (D-30).
        lease_seconds: Asked lease, None if none was asked for.
        endpoint_id: Of the subscription meant, "" if the request names none.
        subscriber_name: Name for SyncErrors, "" if none was given.
    """

    is_unsubscribe: bool
    topic: str
    events: Mapping[str, str]
    lease_seconds: int | None
    endpoint_id: str
    subscriber_name: str


@dataclass(frozen=True, slots=True)
class Subscription:
    """One subscription of one subscriber: topic, endpoint, events, lease.

    Attributes:
        topic: The session's topic.
        endpoint_id: Unguessable part of the endpoint URL.
        events: Granted events: comparison key -> spelling of the subscriber.
        lease_seconds: Granted lease, counted from the confirmation (CONF-03).
        subscriber_name: Name for SyncErrors (D-36).
        subject: Who holds it, from the token; only the same subject may change it.
        expires_at: When the record is forgotten if nobody connects or renews, aware UTC.
        token_expires_at: End of the token that it was asked with, None for a caller without one.
        token_id: Digest of that token, "" for a caller without one.
    """

    topic: str
    endpoint_id: str
    events: Mapping[str, str]
    lease_seconds: int
    subscriber_name: str
    subject: str
    expires_at: datetime
    token_expires_at: datetime | None = None
    token_id: str = ""

    def lease_left(self, now: datetime) -> int:
        """Return the lease of a connection made now: not beyond the token's life (SUB-09)."""
        if self.token_expires_at is None:
            return self.lease_seconds
        return max(0, min(self.lease_seconds, int((self.token_expires_at - now).total_seconds())))


@dataclass(frozen=True, slots=True)
class LeasePolicy:
    """How leases are granted (SUB-08).

    Attributes:
        default_seconds: Lease of a subscription that asks for none.
        max_seconds: The longest lease granted.
    """

    default_seconds: int = 7200
    max_seconds: int = 86_400

    def grant(
        self, asked_seconds: int | None, *, now: datetime, token_expires_at: datetime | None
    ) -> int:
        """Return the lease in seconds: as asked, at most the maximum and the token's life.

        Raises:
            Forbidden: The token ends within a second.

        Spec: 2.4; SUB-08, SUB-09.
        """
        lease = min(asked_seconds or self.default_seconds, self.max_seconds)
        if token_expires_at is not None:
            lease = min(lease, int((token_expires_at - now).total_seconds()))
        if lease < 1:
            raise Forbidden("Authorization: the token is about to expire", rule="SUB-09")
        return lease


def parse_subscription_request(body: bytes, *, ira: bool) -> SubscriptionRequest:
    """Return the request in a form-encoded body.

    Unknown fields are passed over; no known one may come twice.

    Raises:
        InvalidRequest: A field is missing, wrong or repeated.

    Spec: 2.4; SUB-02 … SUB-08, UNS-01, IRA-HUB-04, D-36, D-47.
    """
    form = _parse_form(body)
    if form.get("hub.channel.type") != "websocket":
        raise InvalidRequest("hub.channel.type", "must be websocket", rule="SUB-02")
    mode = form.get("hub.mode")
    if mode not in {"subscribe", "unsubscribe"}:
        raise InvalidRequest("hub.mode", "must be subscribe or unsubscribe", rule="SUB-03")
    name = form.get("subscriber.name", "").strip()
    if ira and not name and mode == "subscribe":
        raise InvalidRequest("subscriber.name", "missing or empty", rule="IRA-HUB-04")
    topic = form.get("hub.topic", "")
    if not topic.strip():
        raise InvalidRequest("hub.topic", "missing or empty", rule="SUB-03")
    for field, value in (("hub.topic", topic), ("subscriber.name", name)):
        if len(value) > MAX_ID_LENGTH:
            raise InvalidRequest(field, f"longer than {MAX_ID_LENGTH} characters", rule="2.4")
    leaves = mode == "unsubscribe"
    endpoint_id = _parse_endpoint(form.get("hub.channel.endpoint", ""))
    if ira and leaves and not endpoint_id:
        raise InvalidRequest("hub.channel.endpoint", "missing or empty", rule="IRA-HUB-13")
    return SubscriptionRequest(
        is_unsubscribe=leaves,
        topic=topic,
        events={} if leaves else _parse_events(form.get("hub.events", "")),
        lease_seconds=None if leaves else _parse_lease(form.get("hub.lease_seconds")),
        endpoint_id=endpoint_id,
        subscriber_name=name,
    )


def narrow_events(asked: Mapping[str, str], may_read: Callable[[str], bool]) -> Mapping[str, str]:
    """Return the asked events that the token may read.

    Args:
        asked: Comparison key -> spelling.
        may_read: Whether a token covers a key for reading.

    Returns:
        A mapping that cannot be changed and may be shared with other subscriptions.

    Raises:
        Forbidden: None of them.

    Spec: 2.2, 2.4; CONF-02, SCO-02.
    """
    granted = {key: spelling for key, spelling in asked.items() if may_read(key)}
    if not granted:
        raise Forbidden("hub.events: the token may read none of these events", rule="SCO-02")
    return shared_events(granted)


def shared_events(events: Mapping[str, str]) -> Mapping[str, str]:
    """Return the same events as a mapping that cannot be changed and that equal records share."""
    if len(events) > _MAX_SHARED:
        return MappingProxyType(dict(events))
    return _shared(tuple(events.items()))


@lru_cache(maxsize=1024)
def _shared(events: tuple[tuple[str, str], ...]) -> Mapping[str, str]:
    """Applications of one kind ask for the same events: thousands of records, one mapping."""
    return MappingProxyType(dict(events))


def endpoint_id_of(endpoint_url: str) -> str:
    """Return the unguessable part of an endpoint URL: its last path segment."""
    try:
        return urlsplit(endpoint_url).path.rsplit("/", 1)[-1]
    except ValueError:
        raise InvalidRequest("hub.channel.endpoint", "not a URL", rule="UNS-05") from None


def _parse_form(body: bytes) -> dict[str, str]:
    try:
        pairs = parse_qsl(
            body.decode("utf-8"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=MAX_FORM_FIELDS,
        )
    except ValueError:
        raise InvalidRequest("body", "not a form in UTF-8", rule="SUB-01") from None
    form: dict[str, str] = {}
    for name, value in pairs:
        if name in form and (name in _LEGACY_FIELDS or name.startswith(("hub.", "subscriber."))):
            raise InvalidRequest(_shown(name), "occurs twice", rule="SUB-05")
        form[name] = value
    for legacy, name in _LEGACY_FIELDS.items():
        if legacy in form:
            form.setdefault(name, form[legacy])  # the standard's own name wins
    return form


def _shown(name: str) -> str:
    """Return a field's name for an error text: a name that the standard could use, or "?"."""
    return name if len(name) <= 64 and name.replace(".", "_").isidentifier() else "?"


def _parse_events(text: str) -> dict[str, str]:
    """Return comparison key -> first spelling; repeats count once (SUB-06)."""
    events: dict[str, str] = {}
    for spelling in filter(None, (part.strip() for part in text.split(","))):
        events.setdefault(parse_subscribed_name(spelling), spelling)
    if not events:
        raise InvalidRequest("hub.events", "missing or empty", rule="SUB-04")
    if len(events) > MAX_EVENTS:
        raise InvalidRequest("hub.events", f"more than {MAX_EVENTS} events", rule="2.4")
    return events


def _parse_endpoint(text: str) -> str:
    endpoint_id = endpoint_id_of(text)
    if text and not endpoint_id:  # must not read as a request for a new subscription
        raise InvalidRequest("hub.channel.endpoint", "not an endpoint of this hub", rule="SUB-11")
    return endpoint_id


def _parse_lease(text: str | None) -> int | None:
    if text is None:
        return None
    digits = text.lstrip("0")
    if not (text.isascii() and text.isdecimal() and digits):
        raise InvalidRequest("hub.lease_seconds", "not a positive whole number", rule="SUB-08")
    # Cut before it becomes a number: a lease of any length is granted up to the maximum.
    return int(digits) if len(digits) <= 10 else 10**10
