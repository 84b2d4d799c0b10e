"""Signing out ends the reading session: the hub tells every application (UserLogout)."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import uuid4

from fhircast_subscribers.errors import NoAnswer, RequestRefused
from fhircast_subscribers.http import HubHttp
from fhircast_subscribers.infrastructure import logout_items
from fhircast_subscribers.wire import write_notification

from fhircast_demo.smart.grants import Grant

if TYPE_CHECKING:
    from fhircast_demo.smart.grants import Grants
    from fhircast_demo.smart.sessions import LoginSession
    from fhircast_demo.smart.tokens import Tokens

logger = logging.getLogger(__name__)
_EHR = "demo-ehr"
_SECONDS = 3.0
_TOKEN_SECONDS = 60


class Goodbye:
    """Announces at the hub that a person has signed out.

    Args:
        hub_url: `hub.url`.
        grants: Remembers the grant that this is done with.
        tokens: Makes a token of it.
    """

    def __init__(self, hub_url: str, grants: Grants, tokens: Tokens) -> None:
        self._hub_url = hub_url
        self._grants = grants
        self._tokens = tokens

    async def say(self, session: LoginSession) -> None:
        """Send UserLogout to the session's topic; a hub that does not answer keeps nobody here.

        Spec: 3.2.2; INF-01.
        """
        grant = Grant(_EHR, ("fhircast/UserLogout.write",), session.topic, session.user)
        answer = self._tokens.answer(self._grants.add(grant), grant, seconds=_TOKEN_SECONDS)
        token = answer["access_token"]
        event_id = str(uuid4())
        body = write_notification(
            id=event_id,
            happened_at=datetime.now(UTC),
            topic=session.topic,
            event_name="UserLogout",
            items=logout_items(),
        )
        hub = HubHttp(self._hub_url, token, timeout_seconds=_SECONDS)
        try:
            await hub.publish(event_id, body)
        except RequestRefused as refused:
            # 400: nobody has joined the session, so nobody needs to be told.
            if refused.status != 400:
                logger.warning("the hub did not take a sign-out: %d", refused.status)
        except NoAnswer:
            logger.warning("the hub was not told of a sign-out: it does not answer")
        finally:
            await hub.aclose()
