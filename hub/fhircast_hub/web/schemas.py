"""JSON Schemas and examples of the wire forms, for the documents that describe the hub.

They tell clients what to send and what comes, and judge nothing: the rules are in `protocol`. The
examples are those of chapters 2.4 to 2.9 of the standard.
"""

from __future__ import annotations

from typing import Any

from fhircast_hub.protocol.events import CATALOGUE
from fhircast_hub.protocol.messages import MAX_ID_LENGTH

Json = dict[str, Any]

_TOPIC = "fdb2f928-5546-4f52-87a0-0648e9ded065"
_ENDPOINT = "wss://hub.example.com/api/hub/ws/Zk3vO0m4mQd8Tn1yB7cX2pL5rWs9Ju6e"
_EVENTS = "Patient-open,Patient-close"
_VERSION = "fbbc2a2e-5e1e-4c86-9f3a-4a7a1f0c8f5d"


def text(about: str, **more: Any) -> Json:
    """A string."""
    return {"type": "string", "description": about, **more}


def an_object(required: str, properties: Json, **more: Any) -> Json:
    """An object with these properties; further ones pass through (GEN-04)."""
    return {"type": "object", "required": required.split(), "properties": properties, **more}


def reference_to(name: str) -> Json:
    """A reference to a schema of the document."""
    return {"$ref": f"#/components/schemas/{name}"}


_TOPIC_SCHEMA = text("The session.", minLength=1, maxLength=MAX_ID_LENGTH, examples=[_TOPIC])
_EVENTS_SCHEMA = text("Event names, comma separated.", examples=[_EVENTS])


def subscription_form(*, ira: bool) -> Json:
    """The form that subscribes, renews or unsubscribes (2.4)."""
    return an_object(
        "hub.channel.type hub.mode hub.topic",
        {
            "hub.channel.type": {"type": "string", "const": "websocket"},
            "hub.mode": {"type": "string", "enum": ["subscribe", "unsubscribe"]},
            "hub.topic": _TOPIC_SCHEMA,
            "hub.events": _EVENTS_SCHEMA,
            "hub.lease_seconds": {
                "type": "integer",
                "minimum": 1,
                "description": "Asked lease; the confirmation tells the granted one.",
            },
            "hub.channel.endpoint": text("The endpoint of the subscription that is meant."),
            "subscriber.name": text("Name for SyncErrors.", maxLength=MAX_ID_LENGTH),
        },
        description="hub.events is required to subscribe; to unsubscribe, the endpoint or the name"
        + (
            " (the endpoint; and subscriber.name to subscribe, in the IRA profile)." if ira else "."
        ),
        examples=[
            {
                "hub.channel.type": "websocket",
                "hub.mode": "subscribe",
                "hub.topic": _TOPIC,
                "hub.events": _EVENTS,
                **({"subscriber.name": "Viewer"} if ira else {}),
            }
        ],
    )


def event_notification() -> Json:
    """A context change request, and the event notification made of it (2.5, 2.6)."""
    context_entry = an_object(
        "key",
        {
            "key": text("Name of the context, case-sensitive."),
            "resource": {"type": "object", "description": "A FHIR resource."},
            "reference": {"description": "A FHIR Reference, or an array of them (select)."},
            "extension": {"type": "object"},
        },
    )
    event = an_object(
        "hub.topic hub.event context",
        {
            "hub.topic": _TOPIC_SCHEMA,
            "hub.event": text(
                "Event name; reverse-domain names stand for events of one's own.",
                examples=[it.spelling for it in CATALOGUE],
            ),
            "context.versionId": text(
                "In an update: the version it is based on. In what the hub "
                "sends: the version since this event."
            ),
            "context.priorVersionId": text("The version before; from the hub only."),
            "context": {"type": "array", "items": context_entry},
            "extension": {"type": "object"},
        },
    )
    return an_object(
        "timestamp id event",
        {
            "timestamp": text("ISO 8601 date and time; no zone reads as UTC."),
            "id": text(
                "Made by the requester; the same in the request and in what is sent.",
                minLength=1,
                maxLength=MAX_ID_LENGTH,
            ),
            "event": event,
            "extension": {"type": "object"},
        },
        examples=[_patient_open()],
    )


def _patient_open() -> Json:
    return {
        "timestamp": "2018-01-08T01:37:05.14",
        "id": "q9v3jubddqt63n1",
        "event": {
            "hub.topic": _TOPIC,
            "hub.event": "Patient-open",
            "context": [
                {
                    "key": "patient",
                    "resource": {
                        "resourceType": "Patient",
                        "id": "ewUbXT9RWEbSj5wPEdgRaBw3",
                        "identifier": [{"value": "530002010"}],
                    },
                }
            ],
        },
    }


def endpoint_answer() -> Json:
    """The answer to a subscribe or unsubscribe (2.4)."""
    return an_object(
        "hub.channel.endpoint",
        {"hub.channel.endpoint": text("URL of the WebSocket; whoever knows it may connect.")},
        examples=[{"hub.channel.endpoint": _ENDPOINT}],
        additionalProperties=False,
    )


def event_answer() -> Json:
    """The answer to a context change request (2.6, D-46)."""
    return an_object(
        "id",
        {
            "id": text("Id of the request."),
            "context.versionId": text("The version that it made, if it made one."),
        },
        examples=[{"id": "q9v3jubddqt63n1", "context.versionId": _VERSION}],
        additionalProperties=False,
    )


def current_context() -> Json:
    """The answer to a GET of the current context (2.9)."""
    return an_object(
        "context.type context.versionId context",
        {
            "context.type": text('Type of the anchor, "" if nothing is open.'),
            "context.versionId": text("The current version."),
            "context": {
                "type": "array",
                "items": {"type": "object"},
                "description": "The context as it was opened, and the shared content.",
            },
        },
        examples=[{"context.type": "", "context.versionId": _VERSION, "context": []}],
        additionalProperties=False,
    )


def configuration() -> Json:
    """What the hub supports (2.7)."""
    flags = {
        name: {"type": "boolean"}
        for name in ("supportsGetCurrentContext", "supportsNonCurrentContextUpdates")
    }
    return an_object(
        "eventsSupported websocketSupport fhircastVersion getCurrentSupport capabilities",
        {
            "eventsSupported": {"type": "array", "items": {"type": "string"}},
            "websocketSupport": {"type": "boolean"},
            "fhircastVersion": {"type": "string"},
            "fhirVersion": {"type": "string"},
            "getCurrentSupport": {"type": "boolean"},
            "capabilities": {"type": "object", "properties": flags},
        },
    )


def confirmation() -> Json:
    """The first frame of a socket, and the answer to a renewal (2.4)."""
    example = {
        "hub.mode": "subscribe",
        "hub.topic": _TOPIC,
        "hub.events": _EVENTS,
        "hub.lease_seconds": 7200,
    }
    return an_object(
        "hub.mode hub.topic hub.events hub.lease_seconds",
        {
            "hub.mode": {"const": "subscribe"},
            "hub.topic": text("The session."),
            "hub.events": text("Granted events, comma separated."),
            "hub.lease_seconds": {"type": "integer", "minimum": 0},
        },
        examples=[example],
        additionalProperties=False,
    )


def denial() -> Json:
    """The last frame of a subscription that the hub ends (2.4)."""
    example = {
        "hub.mode": "denied",
        "hub.topic": _TOPIC,
        "hub.events": _EVENTS,
        "hub.reason": "session unexpectedly stopped",
    }
    return an_object(
        "hub.mode hub.topic hub.events hub.reason",
        {
            "hub.mode": {"const": "denied"},
            "hub.topic": text('The session, "" if it is not known (any more).'),
            "hub.events": text("Events, comma separated."),
            "hub.reason": text("Why, in words."),
        },
        examples=[example],
        additionalProperties=False,
    )


def notification_response() -> Json:
    """A subscriber's answer to a notification (2.5)."""
    return an_object(
        "id",
        {
            "id": text("Id of the notification."),
            "status": {
                "type": ["string", "integer", "null"],
                "description": "HTTP-like status; 400 and more is a failure, none a plain receipt.",
            },
        },
        examples=[{"id": "q9v3jubddqt63n1", "status": "200"}],
    )
