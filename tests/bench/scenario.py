"""What a scenario is, and what it is given."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from bench.figures import Row
    from bench.servers import Kind

_BEGAN = time.monotonic()


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is to be measured.

    Attributes:
        rounds: How often; the servers take turns in each.
        scale: Share of the events, of the usual number.
        kinds: The hub and the peers that this machine can run.
        minutes: Length of the soak.
        rate: Events per second of the mixed day.
    """

    rounds: int
    scale: float
    kinds: Sequence[Kind]
    minutes: float = 6
    rate: float = 150

    def turns(self, *, at_most: int = 1000) -> Iterator[tuple[int, Kind]]:
        """Return (round, server), in the order in which they are to run."""
        for number in range(1, min(self.rounds, at_most) + 1):
            for kind in self.kinds:
                yield number, kind

    def scaled(self, count: int, *, least: int = 10) -> int:
        """Return that share of a number of events."""
        return max(int(count * self.scale), least)


@dataclass(frozen=True, slots=True)
class Scenario:
    """Something to measure.

    Attributes:
        name: As `--only` takes it.
        what: One line for the report.
        measure: Yields the runs; a run that failed has `failed`.
        settings: Settings of the hub that are not the default, with the reason.
    """

    name: str
    what: str
    measure: Callable[[Plan], Iterator[Row]]
    settings: dict[str, str] = field(default_factory=dict)


def progress(text: str) -> None:
    """Say on standard error what is going on."""
    print(f"{time.monotonic() - _BEGAN:7.1f} s  {text}", file=sys.stderr, flush=True)  # noqa: T201
