"""The subscriptions that the played hub hands out, renews and ends (2.4)."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator

    from fhircast_conformance.subscriber.record import Form, Json


class Subscription:
    """What an endpoint was handed out for.

    Attributes:
        endpoint: `hub.channel.endpoint`.
        events: As asked for last; all of them are granted.
        lease_ends: Runs out with the lease, None before the confirmation.
        is_over: Whether it was ended; the endpoint is of no use any more (UNS-04).
    """

    def __init__(self, endpoint: str, form: Form) -> None:
        self.endpoint = endpoint
        self.events = form.events
        self.lease_ends: asyncio.TimerHandle | None = None
        self.is_over = False

    def wants(self, event_name: str) -> bool:
        """Whether it names this event, in any case (GEN-03)."""
        return event_name.lower() in {it.lower() for it in self.events}

    def end(self) -> None:
        """Retire the endpoint."""
        self.is_over = True
        self.stop_clock()

    def stop_clock(self) -> None:
        """Let the lease run no longer."""
        if self.lease_ends is not None:
            self.lease_ends.cancel()


class Subscriptions:
    """The subscriptions of one topic, by endpoint; those that ended are remembered."""

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._all: dict[str, Subscription] = {}

    def __iter__(self) -> Iterator[Subscription]:
        return iter(self._all.values())

    def __getitem__(self, endpoint: str) -> Subscription:
        return self._all[endpoint]

    def get(self, endpoint: str) -> Subscription | None:
        """Return the subscription of an endpoint, over or not."""
        return self._all.get(endpoint)

    def live(self, endpoint: str) -> Subscription | None:
        """Return the subscription of an endpoint, unless it is over."""
        known = self._all.get(endpoint)
        return None if known is None or known.is_over else known

    def subscribe(self, form: Form, ws_url: str) -> tuple[int, Json | str]:
        """Answer a subscribe request: a new subscription, or the renewal of one."""
        for field_name, wanted in (("hub.channel.type", "websocket"), ("hub.topic", self._topic)):
            if form.get(field_name) != wanted:
                return 400, f"{field_name}: not {wanted}"
        if not form.events:
            return 400, "hub.events: missing (SUB-04)"
        known = self.live(form.endpoint)
        if form.endpoint and known is None:
            return 400, "hub.channel.endpoint: not known (SUB-11)"
        if known is None:
            endpoint = f"{ws_url}/{secrets.token_urlsafe(16)}"
            known = self._all[endpoint] = Subscription(endpoint, form)
        known.events = form.events
        return 202, {"hub.channel.endpoint": known.endpoint}

    def unsubscribe(self, form: Form) -> tuple[int, Json | str]:
        """Answer an unsubscribe request."""
        known = self.live(form.endpoint)
        if known is None or form.get("hub.topic") != self._topic:
            return 400, "hub.channel.endpoint: no subscription of this topic (UNS-05)"
        known.end()
        return 202, {"hub.channel.endpoint": known.endpoint}
