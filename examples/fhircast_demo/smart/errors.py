"""What the endpoints answer when they say no (RFC 6749 5.2)."""

from __future__ import annotations


class OAuthError(Exception):
    """A request that is refused.

    Args:
        error: The standard's word, e.g. ``invalid_grant``.
        description: The reason with the parameter; no code, token or secret in it.
        status: HTTP status of a direct answer.
    """

    def __init__(self, error: str, description: str, *, status: int = 400) -> None:
        super().__init__(description)
        self.error = error
        self.description = description
        self.status = status

    def answer(self) -> dict[str, str]:
        """Return what is told, as parameters or JSON."""
        return {"error": self.error, "error_description": self.description}


def invalid_request(description: str) -> OAuthError:
    """A parameter is missing, wrong, or there twice."""
    return OAuthError("invalid_request", description)


def invalid_grant(description: str) -> OAuthError:
    """A code or refresh token that does not work here, or no longer."""
    return OAuthError("invalid_grant", description)


def invalid_client(description: str) -> OAuthError:
    """An application that is not known or did not prove itself."""
    return OAuthError("invalid_client", description, status=401)


class BadRedirect(Exception):
    """An authorization request without a place that the answer may go to: an error page."""
