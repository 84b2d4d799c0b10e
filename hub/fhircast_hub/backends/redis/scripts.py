"""The scripts, each with the digest under which the server keeps it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files

_FOLDER = files(__package__) / "lua"


@dataclass(frozen=True)
class Script:
    """One atomic step.

    Attributes:
        source: Its text.
        sha: Its digest.
        keys: How many of its arguments are keys.
    """

    source: str
    sha: str
    keys: int

    @cached_property
    def sharded(self) -> Script:
        """The same for a cluster: what is published stays at the master of the channel's slot."""
        source = self.source.replace("'PUBLISH'", "'SPUBLISH'")
        return Script(source, _sha_of(source), self.keys)


def _read(name: str, keys: int) -> Script:
    source = "\n".join((_FOLDER / f"{it}.lua").read_text("utf-8") for it in ("common", name))
    return Script(source, _sha_of(source), keys)


def _sha_of(source: str) -> str:
    # The digest that the server itself makes; nothing is secured by it.
    return hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()


MAKE_TOPIC = _read("make_topic", 2)
LOAD = _read("load", 1)
COMMIT = _read("commit", 2)
ADD = _read("add", 4)
REPLACE = _read("replace", 6)
END = _read("end", 6)
DUE = _read("due", 3)
HOLD = _read("hold", 1)
DROP_TOPIC = _read("drop_topic", 3)
RESERVE = _read("reserve", 1)
COUNTED = _read("counted", 1)
SEEN = _read("seen", 1)

ALL = (MAKE_TOPIC, LOAD, COMMIT, ADD, REPLACE, END, DUE, HOLD, DROP_TOPIC, RESERVE, COUNTED, SEEN)
