"""The AsyncAPI 3.0 description of the WebSocket, as the hub serves it at /asyncapi.json."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from fhircast_hub import __version__
from fhircast_hub.web import schemas

if TYPE_CHECKING:
    from fhircast_hub.config import Settings
    from fhircast_hub.web.schemas import Json

_CHANNEL = {"$ref": "#/channels/endpoint"}

_MESSAGES = {
    "confirmation": ("The subscription as granted: first frame, and after a renewal.", "hub"),
    "denial": ("The subscription has ended; the hub closes the socket.", "hub"),
    "eventNotification": ("An event; the subscriber answers it.", "hub"),
    "notificationResponse": ("The answer to an event notification.", "subscriber"),
}


def describe(settings: Settings, origin: str) -> Json:
    """Return the description of a hub with these settings.

    Args:
        settings: Complete settings.
        origin: Under which clients reach the hub, without a slash at its end.
    """
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "FHIRcast hub",
            "version": __version__,
            "description": "FHIRcast 3.0.0; how to get an endpoint is described in openapi.json.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {"hub": _server(origin)},
        "channels": {
            "endpoint": {
                "address": settings.hub_path + "/ws/{endpointId}",
                "title": "hub.channel.endpoint",
                "description": "Handed out by a subscribe; whoever knows the URL may connect.",
                "parameters": {"endpointId": {"description": "Unguessable; of one subscription."}},
                "servers": [{"$ref": "#/servers/hub"}],
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in _MESSAGES},
            }
        },
        "operations": {
            "notify": _operation("send", "hub"),
            "respond": _operation("receive", "subscriber"),
        },
        "components": {"messages": {name: _message(name) for name in _MESSAGES}},
    }


def _server(origin: str) -> Json:
    parts = urlsplit(origin)
    return {
        "host": parts.netloc,
        **({"pathname": parts.path} if parts.path else {}),
        "protocol": "wss" if parts.scheme == "https" else "ws",
    }


def _operation(action: str, sender: str) -> Json:
    return {
        "action": action,
        "channel": _CHANNEL,
        "messages": [
            {"$ref": f"#/channels/endpoint/messages/{name}"}
            for name, (_, by) in _MESSAGES.items()
            if by == sender
        ],
    }


def _message(name: str) -> Json:
    payload = {
        "confirmation": schemas.confirmation,
        "denial": schemas.denial,
        "eventNotification": schemas.event_notification,
        "notificationResponse": schemas.notification_response,
    }[name]()
    return {
        "name": name,
        "summary": _MESSAGES[name][0],
        "contentType": "application/json",
        "payload": payload,
        "examples": [{"payload": it} for it in payload["examples"]],
    }
