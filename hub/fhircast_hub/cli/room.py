"""Open files: as many as there may be connections, and some in reserve."""

from __future__ import annotations

from dataclasses import dataclass

from fhircast_hub.config import variable_of

_OTHER_FILES = 64
"""Files of the process that are no connections of clients."""


@dataclass(frozen=True, slots=True)
class Room:
    """What the system lets the hub have.

    Attributes:
        connections: That may be open at a time, 0 for any number.
        files: That the process may have open, 0 if that is not limited.
        warning: What the operator has to know, "" if all is well.
    """

    connections: int
    files: int = 0
    warning: str = ""


def make_room(connections: int) -> Room:
    """Raise the limit of open files to hold these connections, as far as the system allows.

    Where it does not, fewer connections are taken: the next one is told so with 503, and the hub
    never runs out of files for what is its own.

    Args:
        connections: That may be open at a time, 0 for any number.
    """
    try:
        import resource
    except ImportError:  # Windows knows no such limit
        return Room(connections)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return Room(connections)
    most = hard if hard != resource.RLIM_INFINITY else max(soft, connections + _OTHER_FILES)
    granted = min(most, max(soft, connections + _OTHER_FILES)) if connections else most
    if soft < granted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (granted, hard))
    room = max(1, granted - _OTHER_FILES)
    if connections and connections <= room:
        return Room(connections, granted)
    warning = ""
    if connections:
        warning = (
            f"the system allows {granted} open files, too few for "
            f"{variable_of('max_connections')}={connections}: the hub takes {room} connections at "
            "a time; raise `ulimit -n`"
        )
    return Room(room, granted, warning)
