"""`fhircast context`: what is open now."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import click

from fhircast_hub.cli.http import call, hub_options


@click.command()
@click.argument("topic")
@hub_options
@click.option("--json", "as_json", is_flag=True, help="Print the hub's answer as it is.")
def context(topic: str, hub: str, token: str, as_json: bool) -> None:
    """Show the current context of TOPIC and what was shared in it."""
    answer = call("GET", f"{hub}/{quote(topic, safe='')}", token=token)
    if as_json:
        click.echo(answer.text)
        return
    view = answer.json()
    if not view["context.type"]:
        click.echo(f"no current context  (version {view['context.versionId']})")
        return
    click.echo(f"{view['context.type']}  (version {view['context.versionId']})")
    for entry in view["context"]:
        _show(entry)


def _show(entry: dict[str, Any]) -> None:
    resource = entry.get("resource", {})
    if entry["key"] == "content":
        shared = resource.get("entry", [])
        click.echo(f"  content   {len(shared)} shared")
        for item in shared:
            click.echo(f"    {_name(item['resource'])}")
    elif resource:
        click.echo(f"  {entry['key']:<9} {_name(resource)}")
    else:
        click.echo(f"  {entry['key']:<9} {json.dumps(entry)}")


def _name(resource: dict[str, Any]) -> str:
    identifiers = [it["value"] for it in resource.get("identifier", []) if "value" in it]
    known = f"{resource.get('resourceType')}/{resource.get('id')}"
    status = resource.get("status", "")
    return "  ".join(filter(None, [known, status, *identifiers]))
