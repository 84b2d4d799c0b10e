"""What was granted to whom: codes become grants, grants give tokens, revoking ends them all."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fhircast_demo.smart.expiring import Expiring

if TYPE_CHECKING:
    from collections.abc import Callable

    from fhircast_demo.smart.sessions import Sessions
    from fhircast_demo.smart.settings import SmartSettings
    from fhircast_demo.smart.users import User

_LASTING = "offline_access"
_REFRESHABLE = {"online_access", _LASTING}


@dataclass(frozen=True, slots=True)
class Grant:
    """The rights of one application, on a user's behalf or its own.

    Attributes:
        client_id: Which application.
        scopes: What it may do.
        topic: The session it may join.
        user: On whose behalf, None for a service.
        session_id: The sign-in it hangs on, "" for none.
        nonce: Echoed in the id token.
    """

    client_id: str
    scopes: tuple[str, ...]
    topic: str
    user: User | None = None
    session_id: str = ""
    nonce: str = ""

    @property
    def is_refreshable(self) -> bool:
        """Whether refresh tokens are given."""
        return self.user is not None and not _REFRESHABLE.isdisjoint(self.scopes)

    @property
    def outlives_session(self) -> bool:
        """Whether it goes on after the user has left."""
        return not self.session_id or _LASTING in self.scopes


@dataclass(frozen=True, slots=True)
class Code:
    """What a code stands for: the request that it must be redeemed by."""

    grant: Grant
    redirect_uri: str
    challenge: str


@dataclass(frozen=True, slots=True)
class _Spent:
    """A code or refresh token that was used: a second use ends what the first one gave."""

    grant_id: str


@dataclass(frozen=True, slots=True)
class _Refresh:
    grant_id: str


class Grants:
    """Codes, refresh tokens and the grants behind them."""

    def __init__(
        self, settings: SmartSettings, sessions: Sessions, now: Callable[[], float]
    ) -> None:
        self._sessions = sessions
        life, limit = settings.refresh_seconds, settings.max_grants
        self._life = max(life, settings.own_client_seconds)
        self._code_seconds = settings.code_seconds
        self._codes: Expiring[Code | _Spent] = Expiring(
            now, life_seconds=life, limit=settings.max_pending
        )
        self._grants: Expiring[Grant] = Expiring(now, life_seconds=self._life, limit=limit)
        self._refresh: Expiring[_Refresh | _Spent] = Expiring(now, life_seconds=life, limit=limit)

    def add(self, grant: Grant) -> str:
        """Keep a grant and return its id."""
        grant_id = secrets.token_urlsafe(16)
        self._grants.put(grant_id, grant)
        return grant_id

    def find(self, grant_id: str) -> Grant | None:
        """Return a grant that holds; one that hangs on a sign-in ends with it."""
        grant = self._grants.get(grant_id)
        if grant is None or grant.outlives_session or self._sessions.is_live(grant.session_id):
            return grant
        self.revoke(grant_id)
        return None

    def revoke(self, grant_id: str) -> None:
        """End a grant and every token it gave."""
        self._grants.take(grant_id)

    def new_code(self, code: Code) -> str:
        """Return a code to send to the application."""
        text = secrets.token_urlsafe(32)
        self._codes.put(text, code, life_seconds=self._code_seconds)
        return text

    def redeem(self, text: str) -> Code | None:
        """Take a code; it works once, and a second time revokes what it gave (RFC 6749 4.1.2)."""
        match self._codes.take(text):
            case Code() as code:
                return code
            case _Spent(grant_id):
                self.revoke(grant_id)
        return None

    def spend(self, text: str, grant_id: str) -> None:
        """Remember what a code gave."""
        self._codes.put(text, _Spent(grant_id))

    def new_refresh(self, grant_id: str) -> str:
        """Return a refresh token; the grant lives on for as long as it does."""
        grant = self._grants.get(grant_id)
        if grant is not None:
            self._grants.put(grant_id, grant)
        text = secrets.token_urlsafe(32)
        self._refresh.put(text, _Refresh(grant_id))
        return text

    def refreshed_grant(self, text: str) -> tuple[str, Grant] | None:
        """Return the grant of a refresh token that was not used; a used one ends its grant."""
        match self._refresh.get(text):
            case _Refresh(grant_id):
                grant = self.find(grant_id)
                return None if grant is None else (grant_id, grant)
            case _Spent(grant_id):
                self.revoke(grant_id)
        return None

    def rotate(self, text: str, grant_id: str) -> str:
        """Return the refresh token that takes the place of one that is used now."""
        self._refresh.put(text, _Spent(grant_id))
        return self.new_refresh(grant_id)

    def grant_of_refresh(self, text: str) -> str:
        """Return the id of the grant behind a refresh token, "" if there is none."""
        found = self._refresh.get(text)
        return "" if found is None else found.grant_id
