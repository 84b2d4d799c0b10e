"""Who is signed in, and the launches that were made for them."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import uuid4

from fhircast_demo.smart.expiring import Expiring

if TYPE_CHECKING:
    from collections.abc import Callable

    from fhircast_demo.smart.settings import SmartSettings
    from fhircast_demo.smart.users import User


@dataclass(frozen=True, slots=True)
class LoginSession:
    """One sign-in. Its topic is its own: unique and not to be guessed (SEC-01).

    Attributes:
        id: Names the session within the server; tokens that hang on it end with it.
        user: Who signed in.
        topic: `hub.topic` of everything that is launched from here.
        csrf: Proves that a form came from a page of ours.
    """

    id: str
    user: User
    topic: str
    csrf: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class EhrLaunch:
    """A launch id: for one application in one session, once."""

    session_id: str
    client_id: str


class Sessions:
    """Sign-ins by cookie, and by id for what hangs on them."""

    def __init__(self, settings: SmartSettings, now: Callable[[], float]) -> None:
        life, limit = settings.session_seconds, settings.max_sessions
        self._by_cookie: Expiring[LoginSession] = Expiring(now, life_seconds=life, limit=limit)
        self._live: Expiring[LoginSession] = Expiring(now, life_seconds=life, limit=limit)
        self._launches: Expiring[EhrLaunch] = Expiring(
            now, life_seconds=settings.launch_seconds, limit=settings.max_pending
        )
        self._next_topic = settings.first_topic

    def sign_in(self, user: User) -> tuple[str, LoginSession]:
        """Return the cookie of a new session."""
        cookie = secrets.token_urlsafe(32)
        topic = self._next_topic or str(uuid4())
        self._next_topic = ""
        session = LoginSession(str(uuid4()), user, topic, secrets.token_urlsafe(32))
        self._by_cookie.put(cookie, session)
        self._live.put(session.id, session)
        return cookie, session

    def of_cookie(self, cookie: str) -> LoginSession | None:
        """Return the session of a browser."""
        return self._by_cookie.get(cookie)

    def is_live(self, session_id: str) -> bool:
        """Tell whether a session goes on."""
        return self._live.get(session_id) is not None

    def sign_out(self, cookie: str) -> LoginSession | None:
        """End the session of a browser, and all that hangs on it; return it if there was one."""
        session = self._by_cookie.take(cookie)
        if session is not None:
            self._live.take(session.id)
        return session

    def new_launch(self, session: LoginSession, client_id: str) -> str:
        """Return a launch id for an application."""
        launch = secrets.token_urlsafe(24)
        self._launches.put(launch, EhrLaunch(session.id, client_id))
        return launch

    def use_launch(self, launch: str, session: LoginSession | None, client_id: str) -> bool:
        """Tell whether this is a launch of this session and application; then it is used up."""
        if session is None or self._launches.get(launch) != EhrLaunch(session.id, client_id):
            return False
        self._launches.take(launch)
        return True
