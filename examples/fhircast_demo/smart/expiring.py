"""What the server remembers: bounded, and for a while only."""

from __future__ import annotations

from collections import OrderedDict
from hashlib import sha256
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

V = TypeVar("V")


class Expiring(Generic[V]):
    """Values under secret names; the names are kept as digests only.

    Looking a digest up takes no longer for a name that is nearly right.

    Args:
        now: Seconds since 1970.
        life_seconds: Life of a value, if it is put without one.
        limit: How many there may be; one more, and the one that was put first goes.
    """

    def __init__(self, now: Callable[[], float], *, life_seconds: float, limit: int) -> None:
        self._now = now
        self._life_seconds = life_seconds
        self._limit = limit
        self._values: OrderedDict[str, tuple[float, V]] = OrderedDict()

    def put(self, name: str, value: V, *, life_seconds: float | None = None) -> None:
        """Keep a value, in the place of an earlier one of that name."""
        self._sweep()
        key = _digest(name)
        self._values.pop(key, None)
        while len(self._values) >= self._limit:
            self._values.popitem(last=False)
        life = self._life_seconds if life_seconds is None else life_seconds
        self._values[key] = (self._now() + life, value)

    def get(self, name: str) -> V | None:
        """Return the value, None if there is none or its time is over."""
        expires_at, value = self._values.get(_digest(name), (0.0, None))
        return value if expires_at > self._now() else None

    def take(self, name: str) -> V | None:
        """Return the value and forget it: it works once."""
        value = self.get(name)
        self._values.pop(_digest(name), None)
        return value

    def __len__(self) -> int:
        self._sweep()
        return len(self._values)

    def _sweep(self) -> None:
        now = self._now()
        for key in [key for key, (expires_at, _) in self._values.items() if expires_at <= now]:
            del self._values[key]


def _digest(name: str) -> str:
    return sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
