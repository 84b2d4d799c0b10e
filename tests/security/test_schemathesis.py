"""What the hub says of itself against the hub that runs, by requests that schemathesis makes up.

Right ones and wrong ones, the same each time: no 5xx, no answer that is not described.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import schemathesis
from builders import OBSERVATION, PATIENT, REPORT, STUDY, TOPIC, bundle, put
from fhircast_hub.cli.token import mint_token
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi import checks
from wire_messages import open_request

if TYPE_CHECKING:
    from hub_server import RunningHub, StartHub

KEY = "a key for tests only, 32 characters and more"
WAYS = {
    "none": {},
    "ira": {"profile": "ira"},
    "jwt": {"auth": "jwt", "jwt_key": KEY},
}
CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.response_headers_conformance,
]
AS_ALWAYS = settings(
    max_examples=30,
    derandomize=True,
    deadline=None,
    database=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
"""The same requests each time; so many for each operation, right and wrong."""


def narrowed(document: Any) -> Any:
    """The description with known values here and there, which open the first door."""
    schemas = document["components"]["schemas"]
    notification = schemas["EventNotification"]["properties"]
    event = notification["event"]["properties"]
    entry = event["context"]["items"]["properties"]
    form = schemas["SubscriptionForm"]["properties"]
    for schema, values in (
        (notification["timestamp"], [open_request()["timestamp"]]),
        (event["hub.topic"], [TOPIC]),
        (event["hub.event"], [*event["hub.event"]["examples"], "org.example.thing"]),
        (entry["key"], ["report", "patient", "study", "updates", "select"]),
        (entry["resource"], [REPORT, PATIENT, STUDY, bundle(put(OBSERVATION))]),
        (form["hub.topic"], [TOPIC]),
        (form["hub.events"], ["Patient-open", "DiagnosticReport-open,SyncError"]),
        (document["paths"]["/api/hub/{topic}"]["parameters"][0]["schema"], [TOPIC]),
    ):
        schema["enum"] = values
    return document


def attack(document: Any, token: str) -> set[tuple[str, int]]:
    """Send what schemathesis makes up; return operation and status of every answer."""
    seen: set[tuple[str, int]] = set()
    url = document["servers"][0]["url"]
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    for found in schemathesis.openapi.from_dict(document).get_all_operations():
        assert isinstance(found, Ok), found
        operation = found.ok()
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            if mode is GenerationMode.NEGATIVE and not (operation.body or "{" in operation.path):
                continue  # nothing that could be wrong

            @given(case=operation.as_strategy(generation_mode=mode))
            @AS_ALWAYS
            def send(case: Any) -> None:
                answer = case.call_and_validate(base_url=url, headers=headers, checks=CHECKS)
                seen.add((case.operation.label, answer.status_code))

            send()
    return seen


@pytest.mark.parametrize("knows", [True, False], ids=["known-topic", "any-topic"])
@pytest.mark.parametrize("way", WAYS)
async def test_every_answer_is_one_that_is_described(
    start_hub: StartHub, way: str, knows: bool
) -> None:
    """SUB-13, EVT-03, GEN-01: no 5xx, described statuses, media types and forms only."""
    hub = await start_hub(**WAYS[way])
    token = mint_token(KEY, scope="fhircast/*.*", subject="u", client_id="c", seconds=600)
    client = await hub.client(token)
    await client.subscribe(TOPIC, name="Viewer")
    await client.post(open_request())
    document = await described(hub)
    seen = await asyncio.to_thread(attack, narrowed(document) if knows else document, token)
    # At least so far it must get, or it would prove nothing.
    assert {status for _, status in seen} > ({200, 202, 400, 409} if knows else {200, 202, 400})


async def test_without_a_token_nothing_is_answered(start_hub: StartHub) -> None:
    """SUB-10: 401 whatever else is wrong, and nothing that is not described."""
    hub = await start_hub(**WAYS["jwt"])
    seen = await asyncio.to_thread(attack, await described(hub), "")
    assert {status for label, status in seen if label.endswith(("/api/hub", "{topic}"))} == {401}


async def described(hub: RunningHub) -> Any:
    async with httpx.AsyncClient() as client:
        return (await client.get(hub.origin + "/openapi.json")).json()
