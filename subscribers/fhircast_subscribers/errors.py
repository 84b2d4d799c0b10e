"""What can go wrong for a subscriber, as types with the facts in them.

    SubscriberError
    ├── InvalidContext      (ValueError) what the application handed in must not be sent
    ├── RefusedLocally      the state of the session does not allow the request; nothing was sent
    ├── RequestRefused      the hub answered 4xx or 5xx
    │   └── VersionStale    the update is based on a version that is not the last one
    ├── NoAnswer            the hub did not answer within the deadline, every bounded try included
    ├── InvalidAnswer       the hub answered 2xx, but not with what the standard says
    └── SubscriptionEnded   denied, or given up: a new subscription needs a decision

A message names fields and statuses, and the hub's own reason; never a token or an endpoint URL.
"""

from __future__ import annotations


class SubscriberError(Exception):
    """Root of everything that this package raises on purpose."""


class InvalidContext(SubscriberError, ValueError):
    """A resource or a context must not be sent as it is.

    Attributes:
        field: Which part.
        rule: Requirement id or profile that it does not meet.
    """

    def __init__(self, field: str, problem: str, *, rule: str) -> None:
        super().__init__(f"{field}: {problem} ({rule})")
        self.field = field
        self.rule = rule


class RefusedLocally(SubscriberError):
    """The hub would have to refuse this request, so it was not sent."""

    def __init__(self, reason: str, *, rule: str) -> None:
        super().__init__(f"{reason} ({rule})")
        self.rule = rule


class RequestRefused(SubscriberError):
    """The hub refused a request.

    Attributes:
        status: HTTP status.
        reason: First line of the hub's plain text, "" if there was none.
        retry_after_seconds: What the hub asks to wait, None if it says nothing.
    """

    def __init__(
        self, status: int, reason: str, *, retry_after_seconds: float | None = None
    ) -> None:
        super().__init__(f"the hub answered {status}" + (f": {reason}" if reason else ""))
        self.status = status
        self.reason = reason
        self.retry_after_seconds = retry_after_seconds

    @property
    def is_temporary(self) -> bool:
        """Whether the same request may be accepted later."""
        return self.status in {408, 425, 429} or self.status >= 500


class VersionStale(RequestRefused):
    """Somebody else's update came first (CONT-03, D-42)."""


class NoAnswer(SubscriberError):
    """The hub cannot be reached or does not answer in time."""


class InvalidAnswer(SubscriberError):
    """A 2xx answer without what the standard says must be in it."""


class SubscriptionEnded(SubscriberError):
    """The subscription is over and is not renewed without a decision (CONF-07).

    Attributes:
        reason: In words, as shown to the user.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
