"""Which application calls an endpoint (RFC 6749 2.3)."""

from __future__ import annotations

import binascii
from base64 import b64decode
from typing import TYPE_CHECKING
from urllib.parse import unquote_plus

from fhircast_demo.smart.errors import invalid_client, invalid_request

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from fhircast_demo.smart.clients import Client


def authenticate(
    request: Request, form: Mapping[str, str], clients: Mapping[str, Client]
) -> Client:
    """Return the application: by its secret if it has one, by its name alone if it is public.

    Raises:
        OAuthError: It is not known, its secret is wrong, or it proves itself in two ways.
    """
    header = request.headers.get("authorization", "")
    if header and "client_secret" in form:
        raise invalid_request("client_secret: in the header or in the form, not in both")
    client_id, secret = (
        _basic(header)
        if header
        else (
            form.get("client_id", ""),
            form.get("client_secret", ""),
        )
    )
    if form.get("client_id", client_id) != client_id:
        raise invalid_request("client_id: not the one of the Authorization header")
    client = clients.get(client_id)
    if client is None:
        raise invalid_client("client_id: there is no such application here")
    if client.is_confidential != bool(secret) or (secret and not client.is_secret(secret)):
        raise invalid_client("client_secret: not the secret of this application")
    return client


def _basic(header: str) -> tuple[str, str]:
    scheme, _, value = header.partition(" ")
    try:
        if scheme.lower() != "basic":
            raise ValueError
        name, colon, secret = b64decode(value, validate=True).decode().partition(":")
        if not colon:
            raise ValueError
    except (ValueError, binascii.Error):
        raise invalid_client("Authorization: Basic with client id and secret is needed") from None
    return unquote_plus(name), unquote_plus(secret)
