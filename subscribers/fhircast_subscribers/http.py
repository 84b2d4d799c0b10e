"""The hub over HTTP: subscribe, unsubscribe, request a change, read the current context."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import quote, urlencode, urlsplit

import httpx
from fhircast_hub.protocol.session import Accepted

from fhircast_subscribers.discovery import WELL_KNOWN, HubConfiguration, read_configuration
from fhircast_subscribers.errors import InvalidAnswer, NoAnswer, RequestRefused, VersionStale
from fhircast_subscribers.wire import CurrentContext, decode, read_current_context

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Token: TypeAlias = str | Callable[[], Awaitable[str]] | None
"""A bearer token, something that fetches a fresh one for each request, or None for a hub without
authentication."""

logger = logging.getLogger(__name__)

_MAX_REASON = 300
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


def is_loopback(url: str) -> bool:
    """Whether a URL points to this machine: no proxy of the environment is used for it."""
    return urlsplit(url).hostname in _LOOPBACK


async def bearer(token: Token) -> dict[str, str]:
    """Return the Authorization header, nothing without a token (SUB-10)."""
    if token is None:
        return {}
    return {"Authorization": f"Bearer {token if isinstance(token, str) else await token()}"}


class HubHttp:
    """The HTTP side of one hub.

    Attributes:
        hub_url: `hub.url`, without a slash at its end.
    """

    def __init__(self, hub_url: str, token: Token, *, timeout_seconds: float) -> None:
        self.hub_url = hub_url.rstrip("/")
        if hub_url.startswith("http://") and not is_loopback(hub_url):
            logger.warning("hub.url is plain http: patient data travels unencrypted (GEN-01)")
        self._token = token
        self._http = httpx.AsyncClient(
            timeout=timeout_seconds, trust_env=not is_loopback(hub_url), follow_redirects=False
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def subscribe(
        self,
        topic: str,
        events: Sequence[str],
        *,
        name: str,
        lease_seconds: int,
        endpoint: str = "",
    ) -> str:
        """Subscribe, or renew the subscription of an endpoint; return the endpoint URL.

        Raises:
            RequestRefused: The hub refused.
            NoAnswer: It did not answer.
            InvalidAnswer: It accepted without an endpoint, or with one that is less safe.

        Spec: 2.4; GEN-02, SUB-01 … SUB-05, SUB-10, IRA-SUB-01.
        """
        form = {
            "hub.channel.type": "websocket",
            "hub.mode": "subscribe",
            "hub.topic": topic,
            "hub.events": ",".join(events),
            "hub.lease_seconds": str(lease_seconds),
            "subscriber.name": name,
        }
        if endpoint:
            form["hub.channel.endpoint"] = endpoint
        response = await self._post_form(form)
        answer = _object(response)
        granted = answer.get("hub.channel.endpoint")
        if not isinstance(granted, str) or not granted.startswith(("ws://", "wss://")):
            raise InvalidAnswer("the hub accepted the subscription without an endpoint (SUB-14)")
        if granted.startswith("ws://") and self.hub_url.startswith("https://"):
            raise InvalidAnswer("the hub handed out an endpoint without encryption (GEN-02)")
        return granted

    async def unsubscribe(self, topic: str, endpoint: str) -> None:
        """End the subscription of an endpoint (UNS-01).

        Raises:
            RequestRefused: The hub refused.
            NoAnswer: It did not answer.
        """
        await self._post_form(
            {
                "hub.channel.type": "websocket",
                "hub.mode": "unsubscribe",
                "hub.topic": topic,
                "hub.channel.endpoint": endpoint,
            }
        )

    async def publish(self, event_id: str, body: bytes) -> Accepted:
        """Request a context change, once.

        Raises:
            RequestRefused: The hub refused; `VersionStale` for an update that came too late.
            NoAnswer: It did not answer; whether it accepted is not known.
        """
        response = await self._send(
            "POST", self.hub_url, content=body, media_type="application/json"
        )
        version = _object(response).get("context.versionId")
        return Accepted(event_id, version if isinstance(version, str) else "", response.status_code)

    async def read_context(self, topic: str) -> CurrentContext | None:
        """Return the current context, None if the hub does not know the topic (2.9).

        Raises:
            RequestRefused: The hub refused.
            NoAnswer: It did not answer.
            InvalidAnswer: The answer is not a context.
        """
        try:
            response = await self._send("GET", f"{self.hub_url}/{quote(topic, safe='')}")
        except RequestRefused as refused:
            if refused.status == 404:
                return None
            raise
        try:
            return read_current_context(response.content)
        except ValueError:
            raise InvalidAnswer("the hub answered without a context (CTX-02)") from None

    async def read_configuration(self) -> HubConfiguration:
        """Return what the hub says about itself (2.7, WK-06).

        Raises:
            RequestRefused: The hub refused.
            NoAnswer: It did not answer.
            InvalidAnswer: The answer is no such document.
        """
        response = await self._send("GET", f"{self.hub_url}{WELL_KNOWN}")
        try:
            return read_configuration(decode(response.content))
        except ValueError:
            raise InvalidAnswer("the well-known document names no events (WK-02)") from None

    async def _post_form(self, form: Mapping[str, str]) -> httpx.Response:
        return await self._send(
            "POST",
            self.hub_url,
            content=urlencode(form).encode(),
            media_type="application/x-www-form-urlencoded",
        )

    async def _send(
        self, method: str, url: str, *, content: bytes | None = None, media_type: str = ""
    ) -> httpx.Response:
        headers = {"Accept": "application/json"} | await bearer(self._token)
        if media_type:
            headers["Content-Type"] = media_type
        try:
            response = await self._http.request(method, url, content=content, headers=headers)
        except (httpx.TransportError, httpx.InvalidURL) as error:
            # The class says enough; the text could hold the URL.
            raise NoAnswer(f"the hub did not answer ({type(error).__name__})") from None
        if response.is_success:
            return response
        raise refusal_of(response)


def refusal_of(response: httpx.Response) -> RequestRefused:
    """Return what a hub's refusal says: a reason of its plain text only, and when to retry."""
    lines = response.text.strip().splitlines()
    is_text = response.headers.get("content-type", "").startswith("text/plain")
    reason = lines[0][:_MAX_REASON] if lines and is_text else ""
    status = response.status_code
    if status in {400, 409} and "version" in reason.lower():
        return VersionStale(status, reason)
    return RequestRefused(status, reason, retry_after_seconds=_retry_after(response))


def _retry_after(response: httpx.Response) -> float | None:
    """Return a wait in seconds; a date, or what is no wait at all, is passed over."""
    try:
        seconds = float(response.headers["retry-after"])
    except (KeyError, ValueError):
        return None
    return seconds if 0 <= seconds < float("inf") else None


def _object(response: httpx.Response) -> Mapping[str, object]:
    try:
        value = decode(response.content)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
