"""The OpenAPI 3.1 description of hub.url, as the hub serves it at /openapi.json.

A function of the settings: what is switched off is not described. Of several mounts, only the first
(`FHIRCAST_HUB_PATH`) is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fhircast_hub import __version__
from fhircast_hub.protocol.messages import MAX_ID_LENGTH
from fhircast_hub.web import schemas
from fhircast_hub.web.schemas import reference_to

if TYPE_CHECKING:
    from fhircast_hub.config import Settings
    from fhircast_hub.web.schemas import Json

_REFUSALS = {
    "400": "A field is missing or wrong.",
    "401": "No bearer token, or one that is not valid.",
    "403": "The token, or the hub's rules, do not allow this.",
    "404": "No session with this topic.",
    "409": "Right in form, but it does not fit the state of the session.",
    "413": "The body is too large.",
    "415": "The body is neither a form nor JSON.",
    "429": "A bound of the hub is reached; Retry-After says when to try again.",
    "500": "The hub failed; nothing is known to be changed.",
    "503": "The hub cannot keep its promise now; nothing was changed.",
}
_RETRY_AFTER = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}
_CHALLENGE = {"WWW-Authenticate": {"description": "Bearer", "schema": {"type": "string"}}}
_HEADERS = {"401": _CHALLENGE, "429": _RETRY_AFTER, "503": _RETRY_AFTER}

_OF_A_POST = ("400", "401", "403", "409", "413", "415", "429", "500", "503")
_OF_A_GET = ("401", "403", "404", "429", "500", "503")


def describe(settings: Settings, origin: str) -> Json:
    """Return the description of a hub with these settings.

    Args:
        settings: Complete settings.
        origin: Under which clients reach the hub, without a slash at its end.
    """
    has_tokens = settings.auth != "none"
    path = settings.hub_path
    components: Json = {"schemas": _schemas(settings), "responses": _refusals()}
    if has_tokens:
        components["securitySchemes"] = {
            "bearer": {
                "type": "http",
                "scheme": "bearer",
                "description": "Scopes fhircast/<event>.<read|write|*>.",
            }
        }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "FHIRcast hub",
            "version": __version__,
            "summary": "FHIRcast 3.0.0; the WebSocket is described in asyncapi.json.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": origin}],
        "paths": {
            path: {"post": _post(settings)},
            path + "/{topic}": {
                "parameters": [_topic_parameter()],
                "get": _get_context(settings),
                "post": _post(settings, of_topic=True),
            },
            path + "/.well-known/fhircast-configuration": {"get": _get_configuration()},
            "/livez": {"get": _health("isAlive", "The process lives.")},
            "/readyz": {"get": _health("isReady", "The hub takes requests.", may_fail=True)},
        },
        "components": components,
    }


def _schemas(settings: Settings) -> Json:
    return {
        "SubscriptionForm": schemas.subscription_form(ira=settings.is_ira),
        "EventNotification": schemas.event_notification(),
        "EndpointAnswer": schemas.endpoint_answer(),
        "EventAnswer": schemas.event_answer(),
        "CurrentContext": schemas.current_context(),
        "Configuration": schemas.configuration(),
    }


def _refusals() -> Json:
    text = schemas.text("The reason with the field, then the requirement that is not met.")
    return {
        f"Refused{status}": {
            "description": about,
            **({"headers": _HEADERS[status]} if status in _HEADERS else {}),
            "content": {"text/plain": {"schema": text}},
        }
        for status, about in _REFUSALS.items()
    }


def _post(settings: Settings, *, of_topic: bool = False) -> Json:
    event = {"schema": reference_to("EventNotification")}
    accepted = {"oneOf": [reference_to("EndpointAnswer"), reference_to("EventAnswer")]}
    answers = {"202": _json("Accepted; what follows comes over the WebSocket.", accepted)}
    if settings.is_ira:
        answers["206"] = _json(
            "Accepted without the selected resources that are not known.",
            reference_to("EventAnswer"),
        )
    return {
        "operationId": "postToTopic" if of_topic else "post",
        "summary": "A form subscribes or unsubscribes; JSON requests a context change.",
        **_security(settings),
        "requestBody": {
            "required": True,
            "content": {
                "application/x-www-form-urlencoded": {"schema": reference_to("SubscriptionForm")},
                "application/json": event,
                "application/fhir+json": event,
            },
        },
        "responses": answers | _refused(settings, _OF_A_POST),
    }


def _get_context(settings: Settings) -> Json:
    return {
        "operationId": "getCurrentContext",
        "summary": "The current context of a session, with the content shared in it.",
        **_security(settings),
        "responses": {
            "200": _json("What the caller may read of it.", reference_to("CurrentContext")),
            **_refused(settings, _OF_A_GET),
        },
    }


def _get_configuration() -> Json:
    return {
        "operationId": "getConfiguration",
        "summary": "What the hub supports.",
        "responses": {"200": _json("The capabilities.", reference_to("Configuration"))},
    }


def _health(name: str, about: str, *, may_fail: bool = False) -> Json:
    answer: Json = {"description": about, "content": {"text/plain": {"schema": {"type": "string"}}}}
    unready = {**answer, "description": "It starts or stops."}
    return {
        "operationId": name,
        "summary": about,
        "responses": {"200": answer, **({"503": unready} if may_fail else {})},
    }


def _topic_parameter() -> Json:
    return {
        "name": "topic",
        "in": "path",
        "required": True,
        "description": "hub.topic, percent-encoded.",
        "schema": {"type": "string", "minLength": 1, "maxLength": MAX_ID_LENGTH},
    }


def _security(settings: Settings) -> Json:
    return {"security": [{"bearer": []}]} if settings.auth != "none" else {}


def _refused(settings: Settings, statuses: tuple[str, ...]) -> Json:
    return {
        status: {"$ref": f"#/components/responses/Refused{status}"}
        for status in statuses
        if status != "401" or settings.auth != "none"
    }


def _json(about: str, schema: dict[str, Any]) -> Json:
    return {"description": about, "content": {"application/json": {"schema": schema}}}
