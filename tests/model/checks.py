"""What must hold in every state."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from model.world import World


def what_is_wrong(world: World) -> str:
    """Return what is wrong with a state, "" if nothing.

    Nothing is asked of the subscriber while it has no open socket, or one that is being opened: it
    knows that it is not in sync.
    """
    sink, node = world.sink, world.nodes.get(world.at)
    if node is None or sink is None or not sink.is_open or world.join is not None:
        return ""
    if all(link.sink is not sink for link in node.fanout):
        return "a socket is open and nothing is behind it"
    if world.is_orderly and not _is_in_order(sink.followed, world.log):
        return f"{sink.followed} came, {world.log} was committed"
    if not node.is_up or node.inbox:
        return ""  # it knows that it does not hear, or something is on its way
    if world.shown != (world.log[-1] if world.log else ""):
        return f"{world.shown!r} is shown, {world.log} was committed"
    return ""


def _is_in_order(followed: list[str], log: list[str]) -> bool:
    """Whether nothing was left out, and nothing came behind what is newer; twice is no harm."""
    places = [log.index(it) for it in followed]
    return all(later in (earlier, earlier + 1) for earlier, later in pairwise(places))
