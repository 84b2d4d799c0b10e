"""Fuzz the parsers: `make fuzz`, or `PYTHONPATH=tests python -m security.fuzz --inputs 1000000`.

Coverage-guided by atheris if it is installed, else seeded mutation alone; both make their inputs
from the same corpus. Every finding is written to a file that reproduces it (`--reproduce FILE`).
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from security.fuzz.target import Target

SLOW_SECONDS = 2.0
"""More than any input of 16 KiB may take; reading is broken off after five times as long."""

_PACKAGES = ["fhircast_hub", "fhircast_subscribers", "fhircast_demo"]
_PROGRESS_SECONDS = 5


class TooSlow(Exception):
    """An input takes for ever."""


def main() -> int:
    """Run; return 1 if there was a finding."""
    options = _options()
    if options.reproduce:
        return _reproduce(options.reproduce)
    if options.engine == "atheris" and options.only:
        return _guided(options.only, options.inputs, options.seed, options.findings)
    names = [options.only] if options.only else _names()
    each = max(1, options.inputs // len(names))
    print(f"{len(names)} targets, {each} inputs each, {options.engine}, seed {options.seed}")
    failed = 0
    for number, name in enumerate(names, 1):
        print(f"[{number}/{len(names)}] {name}", flush=True)
        if options.engine == "atheris":
            failed += _in_a_process(name, each, options.seed, options.findings)
        else:
            failed += _mutating(name, each, options.seed, options.findings)
    print("findings: see above" if failed else "no findings")
    return 1 if failed else 0


def _options() -> argparse.Namespace:
    has_atheris = importlib.util.find_spec("atheris") is not None
    parser = argparse.ArgumentParser(prog="python -m security.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=100_000, help="over all targets")
    parser.add_argument("--only", default="", help="name of one target")
    parser.add_argument(
        "--engine",
        choices=("atheris", "mutation"),
        default="atheris" if has_atheris else "mutation",
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--findings", type=Path, default=Path("fuzz-findings"), help="folder")
    parser.add_argument("--reproduce", type=Path, help="file of a finding: TARGET-….bin")
    return parser.parse_args()


def _names() -> list[str]:
    from security.fuzz.targets import TARGETS

    return list(TARGETS)


def _mutating(name: str, inputs: int, seed: int, folder: Path) -> int:
    """Run one target by mutation alone; return the number of distinct findings."""
    from security.fuzz.corpus import seeds
    from security.fuzz.mutation import mutated
    from security.fuzz.targets import TARGETS

    target = TARGETS[name]
    corpus = [it for kind in target.seeds for it in seeds(kind)]
    random, found = Random(f"{seed} {name}"), Findings(name, folder)
    for data in corpus:
        found.check(target, data)
    before, started = _resident_mib(), time.monotonic()
    told, read = started, 0
    for number in range(inputs):
        read += found.check(target, mutated(corpus, random))
        if time.monotonic() - told > _PROGRESS_SECONDS:
            told = time.monotonic()
            print(f"  {number + 1}/{inputs}, {(number + 1) / (told - started):.0f}/s", flush=True)
    seconds = time.monotonic() - started
    print(
        f"  {inputs} inputs in {seconds:.1f} s, {100 * read / inputs:.0f} % read, "
        f"slowest {1000 * found.slowest:.0f} ms, RSS {before:.0f} → {_resident_mib():.0f} MiB, "
        f"findings {len(found.kinds)}",
        flush=True,
    )
    return len(found.kinds)


class Findings:
    """What went wrong with one target: one file for each kind of fault.

    Attributes:
        kinds: Type and place of each.
        slowest: Seconds of the slowest input.
    """

    def __init__(self, name: str, folder: Path) -> None:
        self.kinds: set[str] = set()
        self.slowest = 0.0
        self._name = name
        self._folder = folder

    def check(self, target: Target, data: bytes) -> bool:
        """Try one input; tell whether it was read."""
        started, was_read = time.perf_counter(), False
        try:
            with _deadline(5 * SLOW_SECONDS):
                was_read = target.check(data)
        except Exception as error:
            self._note(error, data)
        seconds = time.perf_counter() - started
        if seconds > SLOW_SECONDS:
            self._note(TooSlow(f"{seconds:.1f} s"), data)
        self.slowest = max(self.slowest, seconds)
        return was_read

    def _note(self, error: Exception, data: bytes) -> None:
        frames = traceback.extract_tb(error.__traceback__)
        place = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
        kind = f"{type(error).__name__} at {place}"
        if kind in self.kinds:
            return
        self.kinds.add(kind)
        self._folder.mkdir(exist_ok=True)
        path = self._folder / f"{self._name}-{sha256(data).hexdigest()[:12]}.bin"
        path.write_bytes(data)
        print(f"  FINDING {kind}: {str(error)[:200]!r}, {len(data)} bytes in {path}", flush=True)


def _in_a_process(name: str, inputs: int, seed: int, folder: Path) -> int:
    """LibFuzzer ends its process, so each target gets its own."""
    command = [sys.executable, "-m", "security.fuzz", "--engine", "atheris", "--only", name]
    command += ["--inputs", str(inputs), "--seed", str(seed), "--findings", str(folder)]
    child = subprocess.run(command, check=False, stderr=subprocess.PIPE)  # libFuzzer is talkative
    if child.returncode:
        sys.stderr.buffer.write(child.stderr[-4000:])
    return int(child.returncode != 0)


def _guided(name: str, inputs: int, seed: int, folder: Path) -> int:
    """Run one target under atheris; does not return."""
    import atheris  # type: ignore[import-untyped]

    with atheris.instrument_imports(include=_PACKAGES):
        from security.fuzz.corpus import seeds
        from security.fuzz.mutation import MAX_BYTES, mutated
        from security.fuzz.targets import TARGETS

    target = TARGETS[name]
    corpus = [it for kind in target.seeds for it in seeds(kind)]
    found = Findings(name, folder)
    done, before, started = 0, 0.0, time.monotonic()

    def one(data: bytes) -> None:
        nonlocal done, before
        found.check(target, data)
        done += 1
        if done == len(corpus) + 1:
            before = _resident_mib()
        if done >= inputs:
            seconds = time.monotonic() - started
            print(
                f"  {done} inputs in {seconds:.1f} s, slowest {1000 * found.slowest:.0f} ms, "
                f"{len(os.listdir(start)) - len(corpus)} reached something new, "
                f"RSS {before:.0f} → {_resident_mib():.0f} MiB, findings {len(found.kinds)}",
                flush=True,
            )
            shutil.rmtree(start, ignore_errors=True)
            os._exit(1 if found.kinds else 0)

    def other(data: bytes, max_size: int, number: int) -> bytes:
        if number % 2:
            return bytes(atheris.Mutate(data, max_size))
        return mutated([data, *corpus], Random(number))[:max_size]

    start = tempfile.mkdtemp(prefix="fuzz-")
    for number, data in enumerate(corpus):
        Path(start, f"{number:04d}").write_bytes(data)
    flags = [f"-runs={inputs + len(corpus) + 100}", f"-seed={seed}", f"-max_len={MAX_BYTES}"]
    flags += ["-print_pcs=0", "-rss_limit_mb=1024", "-verbosity=0"]
    atheris.Setup([sys.argv[0], *flags, start], one, custom_mutator=other)
    atheris.Fuzz()
    return 0


def _reproduce(path: Path) -> int:
    from security.fuzz.targets import TARGETS

    name = path.stem.rpartition("-")[0]
    print("read" if TARGETS[name].check(path.read_bytes()) else "refused")
    return 0


@contextmanager
def _deadline(seconds: float) -> Iterator[None]:
    """End what takes for ever, where the platform can."""
    if not hasattr(signal, "setitimer"):
        yield
        return
    signal.signal(signal.SIGALRM, _too_slow)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _too_slow(_signal: int, _frame: object) -> None:
    raise TooSlow("still reading")


def _resident_mib() -> float:
    """Memory of the process now; where that cannot be told, the most it ever had."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return pages * resource.getpagesize() / 1024**2


if __name__ == "__main__":
    sys.exit(main())
