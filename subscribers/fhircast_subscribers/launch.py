"""Starting a session, and handing it to other applications (IRA-ID-03).

How an application is launched is outside of the standards: a URL, a command line, an environment.
`Launch` is what has to arrive there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlencode, urlsplit
from uuid import uuid4

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fhircast_subscribers.builders import ReportContext
    from fhircast_subscribers.client import HubSession


def new_topic() -> str:
    """Return a topic for a session of its own: unique and not to be guessed (SEC-01)."""
    return str(uuid4())


@dataclass(frozen=True, slots=True)
class Launch:
    """What an application needs to join a session (IRA-SUB-02).

    Attributes:
        hub_url: `hub.url`.
        topic: `hub.topic`.
    """

    hub_url: str
    topic: str

    def parameters(self) -> dict[str, str]:
        """Return the two values under their standard names."""
        return {"hub.url": self.hub_url, "hub.topic": self.topic}

    def url(self, application_url: str) -> str:
        """Return the URL that launches a browser application into this session."""
        separator = "&" if urlsplit(application_url).query else "?"
        return f"{application_url}{separator}{urlencode(self.parameters())}"


def read_launch(values: Mapping[str, str] | str) -> Launch:
    """Return the session that an application was launched into.

    Args:
        values: `hub.url` and `hub.topic` by name, or a URL that carries them in its query.

    Raises:
        ValueError: One of them is missing.
    """
    if isinstance(values, str):
        values = {name: it[0] for name, it in parse_qs(urlsplit(values).query).items()}
    hub_url, topic = values.get("hub.url", ""), values.get("hub.topic", "")
    if not hub_url or not topic:
        raise ValueError("hub.url and hub.topic must not be missing (IRA-SUB-02)")
    return Launch(hub_url, topic)


class OpensReports:
    """What Image Display, Report Creator and Worklist Client share: they open, close and launch."""

    session: HubSession

    @property
    def launch(self) -> Launch:
        """What another application needs to join this session."""
        return Launch(self.session.hub_url, self.session.topic)

    async def open_report(self, case: ReportContext) -> None:
        """Open a report for everybody, or resume it.

        Raises:
            RequestRefused, NoAnswer: Nothing was opened.
        """
        await self.session.open(case)

    async def close_report(self, anchor: str = "") -> None:
        """Close a report for everybody, the current one by default (D-07: by the site's rule).

        Raises:
            RefusedLocally: It is not open.
            RequestRefused, NoAnswer: It is still open.
        """
        await self.session.close(anchor)
