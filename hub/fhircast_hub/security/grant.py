"""What a verified token allows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fhircast_hub.protocol.errors import Forbidden
from fhircast_hub.protocol.scopes import ALL

if TYPE_CHECKING:
    from datetime import datetime

    from fhircast_hub.protocol.scopes import Scopes


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
    """

    subject: str
    client_name: str
    scopes: Scopes
    topic: str = ""
    expires_at: datetime | None = None
    token_id: str = ""

    def require_topic(self, topic: str) -> None:
        """Pass if the token opens this topic.

        Raises:
            Forbidden: The token is bound to another topic.
        """
        if self.topic and self.topic != topic:
            raise Forbidden("hub.topic: the token is bound to another topic", rule="SMART-08")


ANYBODY = Grant(subject="anonymous", client_name="anonymous", scopes=ALL)
"""The grant of every caller of a hub without authentication."""
