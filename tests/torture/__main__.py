"""Torture several hubs over one Redis: `make torture`, or `PYTHONPATH=tests python -m torture`."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

from torture.checks import violations
from torture.report import page, result
from torture.run import Torture
from torture.schedule import Mix
from torture.settings import ANNOUNCED_WITHIN_SECONDS, Options


def main() -> int:
    """Run; 0 if nothing happened that must not, else 1."""
    parser = argparse.ArgumentParser(prog="torture", description=__doc__)
    usual = Options()
    parser.add_argument(
        "--seconds", type=float, default=usual.seconds, help="how long faults happen"
    )
    parser.add_argument("--seed", type=int, default=usual.seed, help="of the schedule of faults")
    parser.add_argument("--nodes", type=int, default=usual.nodes, help="hubs")
    parser.add_argument("--topics", type=int, default=usual.topics, help="sessions")
    parser.add_argument(
        "--mix",
        default=usual.mix.value,
        choices=[it.value for it in Mix],
        help="all faults alike, or mostly kills of hubs and Redis",
    )
    parser.add_argument("--page", type=Path, help="write the result there, as Markdown")
    parser.add_argument("--keep", type=Path, help="a folder for what hubs and Redis write")
    given = parser.parse_args()
    if given.seconds <= 0 or min(given.nodes, given.topics) < 1:
        parser.error("--seconds, --nodes and --topics: allowed is what is above 0")
    options = Options(given.seconds, given.seed, given.nodes, given.topics, mix=Mix(given.mix))
    print(f"torture: {options}", flush=True)
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as made:
        folder = given.keep or Path(made)
        folder.mkdir(parents=True, exist_ok=True)
        torture = Torture(options, folder, lambda line: print(f"  {line}", flush=True))
        log = asyncio.run(torture.run())
    found = violations(log, ANNOUNCED_WITHIN_SECONDS)
    print(result(log, found), flush=True)
    if given.page:
        given.page.write_text(page(log, found, options, time.monotonic() - start))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
