"""`fhircast pub`: request a context change."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, BinaryIO

import click

from fhircast_hub.cli.http import call, hub_options
from fhircast_hub.clock import new_id
from fhircast_hub.protocol.errors import InvalidRequest
from fhircast_hub.protocol.events import parse_event_name
from fhircast_hub.protocol.messages import format_timestamp


@click.command(
    epilog="Example: fhircast pub TOPIC Patient-open --patient 4438001, or "
    "fhircast pub TOPIC DiagnosticReport-open --file context.json"
)
@click.argument("topic")
@click.argument("event")
@hub_options
@click.option(
    "--file",
    "file",
    type=click.File("rb"),
    help="JSON of the context array, or of a whole event notification; - reads standard input.",
)
@click.option("--patient", help="Identifier: makes the context of a Patient-open or -close.")
@click.option("--version-id", default="", help="context.versionId that an update is based on.")
@click.option("--json", "as_json", is_flag=True, help="Print the hub's answer as it is.")
def pub(
    topic: str,
    event: str,
    hub: str,
    token: str,
    file: BinaryIO | None,
    patient: str | None,
    version_id: str,
    as_json: bool,
) -> None:
    """Send EVENT (such as Patient-open) to everybody in TOPIC.

    The context comes from --file or --patient; without either it is empty, as Home-open wants it.
    Id and timestamp are made here.
    """
    try:
        name = parse_event_name(event).spelling
    except InvalidRequest as error:
        raise click.UsageError(str(error)) from None
    message = _message(topic, name, _context(file, patient), version_id)
    answer = call("POST", hub, token=token, body=json.dumps(message).encode())
    if as_json:
        click.echo(answer.text)
        return
    accepted = answer.json()
    version = accepted.get("context.versionId", "")
    click.echo(f"accepted  {name}  id {accepted['id']}" + (f"  version {version}" * bool(version)))


def _context(file: BinaryIO | None, patient: str | None) -> Any:
    if file is not None:
        try:
            return json.load(file)
        except ValueError as error:
            raise click.UsageError(f"--file: not JSON: {error}") from None
    if patient:
        resource = {
            "resourceType": "Patient",
            "id": patient,
            "identifier": [{"value": patient}],
        }
        return [{"key": "patient", "resource": resource}]
    return []


def _message(topic: str, event: str, context: Any, version_id: str) -> dict[str, Any]:
    if isinstance(context, dict) and "event" in context:  # a whole notification: sent anew
        context = context["event"].get("context", [])
    body: dict[str, Any] = {"hub.topic": topic, "hub.event": event, "context": context}
    if version_id:
        body["context.versionId"] = version_id
    return {"timestamp": format_timestamp(datetime.now(UTC)), "id": new_id(), "event": body}
