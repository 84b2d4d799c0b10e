"""Which subscriptions stand on which token, so that they end with it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from fhircast_hub.observability.logs import topic_label
from fhircast_hub.protocol.channel_state import CloseReason
from fhircast_hub.protocol.errors import FhircastError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from fhircast_hub.backends.base import Backend
    from fhircast_hub.protocol.subscription import Subscription

logger = logging.getLogger(__name__)


class TokenHolders:
    """The subscriptions that were made or renewed at this process with a token.

    Only this process has seen that token and can tell whether it still holds; the end itself goes
    through the backend to whichever process has the socket. Records that are over are forgotten
    whenever somebody looks.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._token_of: dict[str, str] = {}
        self._endpoints_of: dict[str, set[str]] = {}

    def note(self, subscription: Subscription) -> None:
        """Remember a subscription, if it stands on a token."""
        if not subscription.token_id:
            return
        self._forget(subscription.endpoint_id)
        self._token_of[subscription.endpoint_id] = subscription.token_id
        of_token = self._endpoints_of.setdefault(subscription.token_id, set())
        of_token.add(subscription.endpoint_id)

    async def token_ids(self) -> frozenset[str]:
        """Return the digests of the tokens that live subscriptions stand on."""
        return frozenset([it.token_id async for it in self._living(self._token_of)])

    async def end_tokens(self, token_ids: Iterable[str]) -> None:
        """End the subscriptions that stand on these tokens, with a denial.

        One that was renewed with another token meanwhile goes on.

        Spec: 2.4; CONF-06, SMART-08, guarantee 5.
        """
        for token_id in token_ids:
            async for it in self._living(self._endpoints_of.get(token_id, ())):
                if it.token_id != token_id:
                    continue
                try:
                    await self._backend.end(it.endpoint_id, CloseReason.TOKEN_ENDED)
                    logger.info("token ended: topic %s", topic_label(it.topic))
                except FhircastError as error:  # it is tried again with the next look
                    logger.error("the end of a token was not committed: %s", error)

    async def _living(self, endpoint_ids: Iterable[str]) -> AsyncIterator[Subscription]:
        for endpoint_id in list(endpoint_ids):
            subscription = await self._backend.find(endpoint_id)
            if subscription is None:
                self._forget(endpoint_id)
            else:
                yield subscription

    def _forget(self, endpoint_id: str) -> None:
        token_id = self._token_of.pop(endpoint_id, "")
        of_token = self._endpoints_of.get(token_id, set())
        of_token.discard(endpoint_id)
        if not of_token:
            self._endpoints_of.pop(token_id, None)
