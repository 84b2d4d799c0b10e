"""The applications that the server knows."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

APPS = {"worklist": "Demo Worklist", "viewer": "Demo Viewer", "dictation": "Demo Dictation"}
OWN_CLIENT = "my-app"
SERVICE = "demo-service"
OWN_REDIRECT = "http://127.0.0.1:9999/callback"

_SIGN_IN = ("openid", "fhirUser", "profile", "launch", "online_access", "offline_access")
_ANCHORS = ("Patient", "Encounter", "ImagingStudy", "DiagnosticReport")
_OPEN_AND_CLOSE = (
    *(f"fhircast/{anchor}-{verb}.write" for anchor in _ANCHORS for verb in ("open", "close")),
    "fhircast/Home-open.write",
    "fhircast/UserLogout.write",
    "fhircast/SyncError.write",
)
_SHARE = ("fhircast/DiagnosticReport-update.write", "fhircast/DiagnosticReport-select.write")
_READ_EVERYTHING = ("fhircast/*.read", "user/*.rs")
EVERYTHING = ("fhircast/*.*", "user/*.cruds", *_SIGN_IN)
_OF_APP = {
    "worklist": (*_READ_EVERYTHING, *_OPEN_AND_CLOSE, _SHARE[0]),
    "viewer": (*_READ_EVERYTHING, *_OPEN_AND_CLOSE, *_SHARE),
    "dictation": (
        *_READ_EVERYTHING,
        *_OPEN_AND_CLOSE,
        *_SHARE,
        "user/DiagnosticReport.cruds",
        "user/Observation.cruds",
    ),
}
"""What each page may ever get: dictation alone writes into the EHR."""


@dataclass(frozen=True, slots=True)
class Client:
    """An application.

    Attributes:
        client_id: Its id.
        name: As people know it.
        scopes: What it may ever get.
        redirect_uris: Where a code may be sent to, exactly; none for a service.
        secret: Of a confidential client; "" for a public one, which proves itself by PKCE.
    """

    client_id: str
    name: str
    scopes: tuple[str, ...]
    redirect_uris: tuple[str, ...] = ()
    secret: str = field(default="", repr=False)

    @property
    def is_confidential(self) -> bool:
        """Whether it can keep a secret."""
        return bool(self.secret)

    def is_secret(self, secret: str) -> bool:
        """Compare in constant time."""
        return hmac.compare_digest(secret.encode(), self.secret.encode()) and self.is_confidential


def client_of(app: str) -> str:
    """Return the client id of one of the demo's pages."""
    return f"demo-{app}"


def registered(
    origin: str, *, service_secret: str, redirect_uris: Iterable[str] = ()
) -> dict[str, Client]:
    """Return the clients by id.

    Args:
        origin: Of the demo's pages.
        service_secret: Of `demo-service`.
        redirect_uris: Of one's own client, besides the documented one.
    """
    clients = [
        Client(client_of(app), name, (*_OF_APP[app], *_SIGN_IN), (f"{origin}/{app}",))
        for app, name in APPS.items()
    ]
    clients.append(Client(OWN_CLIENT, "My client", EVERYTHING, (OWN_REDIRECT, *redirect_uris)))
    services = ("fhircast/*.*", "user/*.cruds")
    clients.append(Client(SERVICE, "Demo Service", services, secret=service_secret))
    return {it.client_id: it for it in clients}
