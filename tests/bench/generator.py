"""The load generator in C: built once, started on its own CPU, spoken to line by line."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.catalogue import BUILD
from bench.servers import GENERATOR_CPU, pin_to

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.servers import Server

Figures = dict[str, Any]
"""Figures of a run, as load/figures.c writes them."""

_SOURCES = Path(__file__).parent / "load"
_PROGRAM = BUILD / "load"


class NoCompiler(Exception):
    """This machine has no C compiler; without the generator little can be measured."""


class LoadFailed(Exception):
    """The generator ended before it had figures."""


def build() -> None:
    """Compile the generator if its sources are newer than it.

    Raises:
        NoCompiler: There is none.
    """
    sources = sorted(_SOURCES.glob("*.[ch]"))
    if _PROGRAM.exists() and _PROGRAM.stat().st_mtime > max(it.stat().st_mtime for it in sources):
        return
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise NoCompiler("no C compiler (Debian: apt install gcc libc6-dev)")
    BUILD.mkdir(exist_ok=True)
    inputs = [str(it) for it in sources if it.suffix == ".c"]
    subprocess.run([compiler, "-O2", "-Wall", "-o", str(_PROGRAM), *inputs], check=True)


class Load:
    """A generator whose subscribers have joined."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.joined = self._line()

    def go(self) -> None:
        """Let it publish; the figures come from `figures`."""
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    def figures(self) -> Figures:
        """Wait for the figures of what it published.

        Raises:
            LoadFailed: It ended without.
        """
        return self._line()

    def _line(self) -> Figures:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            assert self._process.stderr is not None
            raise LoadFailed(self._process.stderr.read()[-500:] or "no word")
        figures: Figures = json.loads(line)
        return figures


@contextmanager
def loading(server: Server, tokens: Sequence[str] = (), **options: object) -> Iterator[Load]:
    """Start the generator against a server and wait until its subscribers have joined.

    Args:
        server: Where to; its kind decides the wire.
        tokens: For a hub: subscriber and publisher i use token i modulo their number.
        options: As load/options.c reads them.

    Raises:
        LoadFailed: It could not join.
    """
    with tempfile.TemporaryDirectory() as folder:
        words = [str(_PROGRAM), "--port", str(server.port)]
        if server.kind.hub_path:
            listed = Path(folder, "tokens")
            listed.touch(mode=0o600)
            listed.write_text("\n".join(tokens))
            words += ["--hub", server.kind.hub_path, "--tokens", str(listed)]
        for name, value in options.items():
            words += [f"--{name}", str(value)]
        process = subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=pin_to(GENERATOR_CPU),
        )
        try:
            yield Load(process)
        finally:
            process.kill()
            process.communicate()
