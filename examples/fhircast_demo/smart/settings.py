"""Addresses and limits of the development authorization server."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SmartSettings:
    """What the server is told at the start.

    Attributes:
        origin: Of the demo's pages; the server lives there.
        hub_url: `hub.url`.
        service_secret: Of the client `demo-service`.
        redirect_uris: Further redirect URIs of one's own client.
        first_topic: Topic of the first sign-in, "" for a new one; later ones are always new.
        session_seconds: Life of a sign-in.
        launch_seconds: Life of a launch id.
        consent_seconds: How long a consent page may be answered.
        code_seconds: Life of a code.
        access_seconds: Life of an access token.
        own_client_seconds: Life of the token for one's own client.
        refresh_seconds: Life of a refresh token.
        max_sessions: Sign-ins at once; one more, and the oldest ends.
        max_pending: Launches, consent pages and codes at once, each.
        max_grants: Grants, and refresh tokens, at once.
    """

    origin: str
    hub_url: str
    service_secret: str
    redirect_uris: tuple[str, ...] = ()
    first_topic: str = ""
    session_seconds: float = 12 * 3600
    launch_seconds: float = 120
    consent_seconds: float = 600
    code_seconds: float = 60
    access_seconds: int = 3600
    own_client_seconds: int = 12 * 3600
    refresh_seconds: float = 12 * 3600
    max_sessions: int = 200
    max_pending: int = 1000
    max_grants: int = 5000

    @property
    def issuer(self) -> str:
        """`iss` of the tokens."""
        return f"{self.origin}/auth"

    @property
    def fhir_base(self) -> str:
        """The FHIR server: `iss` of a launch, `aud` of a request."""
        return f"{self.origin}/fhir"

    def endpoint(self, name: str) -> str:
        """Return the URL of an endpoint, e.g. "token"."""
        return f"{self.issuer}/{name}"
