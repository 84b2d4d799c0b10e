"""`fhircast sub`: join a session and print what comes."""

from __future__ import annotations

import asyncio
import json
import signal
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from fhircast_hub.cli.http import hub_options
from fhircast_hub.protocol.events import CATALOGUE

if TYPE_CHECKING:
    from fhircast_subscribers.feed import Received
    from fhircast_subscribers.wire import Notification

_ALL = ",".join(entry.spelling for entry in CATALOGUE)


@click.command(epilog="Example: fhircast sub TOPIC --events Patient-open,SyncError --count 1")
@click.argument("topic")
@hub_options
@click.option("--events", default=_ALL, help="hub.events, comma separated; by default all.")
@click.option("--name", default="fhircast sub", show_default=True, help="subscriber.name")
@click.option("--count", default=0, help="Stop after so many events.", type=click.IntRange(min=0))
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def sub(
    topic: str, hub: str, token: str, events: str, name: str, count: int, as_json: bool
) -> None:
    """Join TOPIC as a subscriber and print its events, until Ctrl-C or SIGTERM.

    Every event is acknowledged with 200. Leaving unsubscribes.
    """
    # Imported here: `sub --help` must not load the client.
    from fhircast_subscribers.errors import SubscriberError

    wanted = [part.strip() for part in events.split(",") if part.strip()]
    if not wanted:
        raise click.UsageError("--events: name at least one event")
    try:
        asyncio.run(_follow(topic, hub, token, wanted, name, count, as_json))
    except (KeyboardInterrupt, asyncio.CancelledError):
        click.echo("left the session", err=True)
    except SubscriberError as error:
        raise click.ClickException(str(error)) from None


async def _follow(
    topic: str, hub: str, token: str, events: list[str], name: str, count: int, as_json: bool
) -> None:
    from fhircast_subscribers.client import connect

    task = asyncio.current_task()
    if task is not None:
        with suppress(NotImplementedError):  # Windows has no such handlers
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    async with connect(hub, topic, name=name, token=token or None, events=events) as session:
        click.echo(f"joined the session as {name!r}; Ctrl-C leaves", err=True)
        seen = 0
        async for received in session:
            await received.answer(200)
            _show(received, as_json)
            seen += received.notification is not None
            if count and seen >= count:
                return


def _show(received: Received, as_json: bool) -> None:
    from fhircast_subscribers.show import as_line, describe

    event = received.notification
    if event is not None:
        click.echo(json.dumps(_described(event)) if as_json else _line(event))
    elif not as_json:
        for change in received.changes:
            click.echo(f"          {as_line(describe(change))}", err=True)


def _described(event: Notification) -> dict[str, Any]:
    happened_at = event.happened_at.isoformat() if event.happened_at else None
    return {
        "id": event.id,
        "timestamp": happened_at,
        "event": event.event_name,
        "anchor": event.anchor,
        "context.versionId": event.version_id,
        "context.priorVersionId": event.prior_version_id,
        "keys": [item.get("key") for item in event.items],
    }


def _line(event: Notification) -> str:
    when = event.happened_at.astimezone().strftime("%H:%M:%S") if event.happened_at else "?"
    version = f"  version {event.version_id}" if event.version_id else ""
    return f"{when}  {event.event_name}  {event.anchor}{version}  id {event.id}"
