"""What a verified token allows, in the session that it is used for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fhircast_hub.protocol.errors import Forbidden
from fhircast_hub.protocol.scopes import ALL
from fhircast_hub.security.policy import ALLOW_ALL, Action, Policy, may

if TYPE_CHECKING:
    from datetime import datetime

    from fhircast_hub.protocol.events import EventName
    from fhircast_hub.protocol.scopes import Scopes
    from fhircast_hub.security.policy import Verb


@dataclass(frozen=True, slots=True)
class Grant:
    """The rights of one caller.

    Attributes:
        subject: Who calls: issuer, user and application; owns the subscriptions it makes.
        client_name: Default for `subscriber.name` (D-36).
        scopes: Events that may be received and requested.
        topic: The only topic that the token opens, "" for any (SMART-08).
        expires_at: End of the token, None for a caller without one, or if it is not known.
        token_id: Digest of the token, "" for a caller without one; what is made with the token
            ends with it.
        policy: The site's own rules, which can only take away.
    """

    subject: str
    client_name: str
    scopes: Scopes
    topic: str = ""
    expires_at: datetime | None = None
    token_id: str = ""
    policy: Policy = field(default=ALLOW_ALL, repr=False, compare=False)

    def has_expired(self, now: datetime) -> bool:
        """Tell whether the token is over."""
        return self.expires_at is not None and self.expires_at <= now

    def require(self, verb: Verb, topic: str) -> None:
        """Pass if this may be done in a session at all.

        Raises:
            Forbidden: The token is bound to another topic, or the site's policy refuses.
        """
        self._require_topic(topic)
        self._require_policy(Action(verb), topic)

    def require_publish(self, event: EventName, topic: str) -> None:
        """Pass if this event may be requested in a session.

        Raises:
            Forbidden: The token is bound to another topic, no scope of it covers the event, or the
                site's policy refuses.
        """
        self._require_topic(topic)
        self.scopes.require(event.key, "write", event=event.spelling)
        self._require_policy(Action("publish", event.key), topic)

    def may_read(self, event_key: str, topic: str) -> bool:
        """Tell whether an event (its lower-case key) of a session may be received."""
        return self.scopes.allow(event_key, "read") and may(
            self.policy, self, Action("read", event_key), topic
        )

    def _require_topic(self, topic: str) -> None:
        if self.topic and self.topic != topic:
            raise Forbidden("hub.topic: the token is bound to another topic", rule="SMART-08")

    def _require_policy(self, action: Action, topic: str) -> None:
        if not may(self.policy, self, action, topic):
            raise Forbidden(f"the policy of this site refuses to {action.verb}", rule="SEC-04")


ANYBODY = Grant(subject="anonymous", client_name="anonymous", scopes=ALL)
"""The grant of every caller of a hub without authentication."""
