"""/openapi.json and /asyncapi.json: valid documents, and what they say is what the hub does."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx
import jsonschema_rs
import pytest
import schemathesis
from builders import TOPIC
from fhircast_hub.config import load_settings
from fhircast_hub.web import asyncapi, openapi
from golden import events
from wire_messages import open_request

if TYPE_CHECKING:
    from hub_server import RunningHub, StartHub

ORIGIN = "https://hub.example.org/fhircast"
KEY = "a key for tests only, 32 characters and more"
WAYS = {
    "default": {},
    "jwt": {"auth": "jwt", "jwt_key": KEY},
    "ira": {"profile": "ira", "hub_path": "/fhircast"},
}


def described(**settings: str) -> Any:
    return openapi.describe(load_settings({}, settings), ORIGIN)


def references(node: Any) -> list[str]:
    """Every $ref in a document."""
    if isinstance(node, list):
        return [it for inner in node for it in references(inner)]
    if not isinstance(node, dict):
        return []
    own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
    return own + references(list(node.values()))


def resolved(document: Any, reference: str) -> Any:
    for part in reference.removeprefix("#/").split("/"):
        document = document[part]
    return document


def schema_of(document: Any, name: str) -> jsonschema_rs.Validator:
    """A validator for one component of the document."""
    return jsonschema_rs.validator_for(
        {"components": document["components"], "$ref": f"#/components/schemas/{name}"}
    )


def frame_schema(name: str) -> jsonschema_rs.Validator:
    """A validator for one kind of frame."""
    document = asyncapi.describe(load_settings({}, {}), ORIGIN)
    return jsonschema_rs.validator_for(document["components"]["messages"][name]["payload"])


@pytest.mark.parametrize("way", WAYS)
def test_the_http_side_is_a_valid_openapi_document(way: str) -> None:
    """2.4, 2.6, 2.9: GEN-01."""
    document = described(**WAYS[way])
    schemathesis.openapi.from_dict(document).validate()
    for name, schema in document["components"]["schemas"].items():
        jsonschema_rs.meta.validate(schema)
        for example in schema.get("examples", []):
            schema_of(document, name).validate(example)
    assert document["servers"] == [{"url": ORIGIN}]


@pytest.mark.parametrize("way", WAYS)
def test_the_socket_is_described_without_loose_ends(way: str) -> None:
    """2.4, 2.5: GEN-02; what it names is there, and its examples are what it says."""
    settings = load_settings({}, WAYS[way])
    document = asyncapi.describe(settings, ORIGIN)
    assert all(resolved(document, it) for it in references(document))
    for message in document["components"]["messages"].values():
        jsonschema_rs.meta.validate(message["payload"])
        for example in message["examples"]:
            jsonschema_rs.validate(message["payload"], example["payload"])
    server = {"host": "hub.example.org", "pathname": "/fhircast", "protocol": "wss"}
    assert document["servers"] == {"hub": server}
    [channel] = document["channels"].values()
    assert channel["address"] == f"{settings.hub_path}/ws/{{endpointId}}"


def test_a_hub_without_tokens_asks_for_none() -> None:
    """SUB-10: what is switched off is not described."""
    open_to_all, guarded = described(), described(**WAYS["jwt"])
    assert "securitySchemes" not in open_to_all["components"]
    assert guarded["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    for path in ("/api/hub", "/api/hub/{topic}"):
        assert guarded["paths"][path]["post"]["security"] == [{"bearer": []}]
        assert "401" in guarded["paths"][path]["post"]["responses"]
        assert "401" not in open_to_all["paths"][path]["post"]["responses"]


def test_the_examples_of_the_standard_fit() -> None:
    """2.3 … 2.9: EVT-02, CONF-01, CONF-05, ACK-05."""
    notification, document = frame_schema("eventNotification"), described()
    for text in events().values():
        notification.validate(json.loads(text))
        schema_of(document, "EventNotification").validate(json.loads(text))


async def test_what_a_running_hub_serves_is_what_it_does(start_hub: StartHub) -> None:
    """2.4, 2.7, 2.9: answers and frames of a session fit their schemas."""
    hub = await start_hub(ack_policy="strict", lease_default_seconds="2")
    async with httpx.AsyncClient(base_url=hub.origin) as client:
        document = (await client.get("/openapi.json")).json()
        frames = (await client.get("/asyncapi.json")).json()
    assert document["servers"][0]["url"] == hub.origin
    assert frames["servers"]["hub"]["host"] == hub.origin.removeprefix("http://")
    socket = await hub.wire.join(TOPIC)
    schema_of(document, "EndpointAnswer").validate({"hub.channel.endpoint": socket.endpoint})
    frame_schema("confirmation").validate(socket.confirmation)
    answer = await hub.wire.post(open_request())
    schema_of(document, "EventAnswer").validate(answer.json())
    frame_schema("eventNotification").validate(await socket.followed())
    current = await hub.wire.get(TOPIC)
    schema_of(document, "CurrentContext").validate(current.json())

    frame_schema("denial").validate(await socket.next())


async def test_the_health_of_the_hub_is_as_described(hub: RunningHub) -> None:
    """What the document names is there."""
    paths = described()["paths"]
    async with httpx.AsyncClient(base_url=hub.origin) as client:
        for path in ("/livez", "/readyz", "/api/hub/.well-known/fhircast-configuration"):
            [media_type] = paths[path]["get"]["responses"]["200"]["content"]
            answer = await client.get(path)
            assert answer.headers["content-type"].partition(";")[0] == media_type
