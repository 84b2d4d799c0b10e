"""Search further than the tests do: `PYTHONPATH=tests python -m model.search --breaks 1`."""

from __future__ import annotations

import argparse
import sys
import time

from model.checks import what_is_wrong
from model.explore import explore
from model.world import World, first_world


def main() -> int:
    """Search, say how far it got, and how a problem comes about if there is one."""
    options = _options()
    todo = [it.split(",") for it in options.events.split("/")]
    budget = {it: getattr(options, it) for it in ("breaks", "crashes", "drops")}
    first = first_world(*todo, **budget, answers=not options.silent)
    began, seen = time.monotonic(), 0

    def check(world: World) -> str:
        nonlocal seen
        seen += 1
        if seen % 20_000 == 0:
            print(f"{time.monotonic() - began:7.0f} s  {seen} states", file=sys.stderr)
        return what_is_wrong(world)

    found = explore(first, check, most=options.most)
    for step in found.trace:
        print(f"  {step}")
    end = found.problem or ("no problem" if found.is_whole else "no problem so far; there is more")
    print(f"{found.states} states: {end}")
    return 1 if found.problem else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", default="e1/e2", help="of each writer, as in e1,e2/e3")
    parser.add_argument("--breaks", type=int, default=0, help="lines that may break")
    parser.add_argument("--crashes", type=int, default=0, help="processes that may die")
    parser.add_argument("--drops", type=int, default=0, help="sockets that may be lost")
    parser.add_argument("--silent", action="store_true", help="the subscriber never answers")
    parser.add_argument("--most", type=int, default=1_000_000, help="states")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
