"""Which master of a cluster keeps which slots, as its nodes tell it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from fhircast_hub.backends.redis import keys
from fhircast_hub.backends.redis.server import judge_cluster, number_told

if TYPE_CHECKING:
    from fhircast_hub.backends.redis.server import Server

Address = tuple[str, int]

ASKED = (("CLUSTER", "INFO"), ("CLUSTER", "SLOTS"))
"""What a view is made of."""


class View(NamedTuple):
    """What a node sees.

    Attributes:
        epoch: Grows with every failover and every slot that moves: the newest view has the most.
        owners: Address of the master of each slot, None for a slot that nobody keeps.
    """

    epoch: int
    owners: list[Address | None]


def view_of(said: bytes, slots: list[Any], asked: Address) -> View:
    """Return what a node sees.

    Args:
        said: Its answer to CLUSTER INFO.
        slots: Its answer to CLUSTER SLOTS.
        asked: Its address, which it may leave out.

    Raises:
        Lost: It sees that the cluster does not work.
    """
    judge_cluster(said)
    owners: list[Address | None] = [None] * keys.SLOTS
    for first, last, (host, port, *_), *_ in slots:
        if host != b"?":
            address = (host.decode() if host else asked[0]), port
            owners[first : last + 1] = [address] * (last + 1 - first)
    return View(number_told(said, b"cluster_current_epoch"), owners)


async def view_from(server: Server, address: Address) -> View:
    """Ask a node over a connection of its own.

    Raises:
        Lost: It cannot be reached, or see `view_of`.
    """
    said, slots = await replace(server, address=address).ask_once(*ASKED)
    return view_of(said, slots, address)
