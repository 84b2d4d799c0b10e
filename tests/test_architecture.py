"""The rooms of the house: who imports whom, and what the core never touches."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import fhircast_hub.protocol
import pytest

ROOT = Path(__file__).resolve().parents[1]
PROTOCOL = sorted(Path(fhircast_hub.protocol.__path__[0]).glob("**/*.py"))

IMPURE_CALLS = {
    "now", "utcnow", "today", "time", "monotonic", "perf_counter", "uuid1", "uuid4", "random",
    "randint", "token_urlsafe", "token_bytes", "urandom", "sleep", "getLogger", "open", "print",
    "input", "exec", "eval",
}  # fmt: skip
ALLOWED_ROOTS = {
    "__future__", "collections", "dataclasses", "datetime", "enum", "functools", "hashlib", "json",
    "itertools", "math", "msgspec", "operator", "re", "types", "typing", "urllib", "fhircast_hub",
}  # fmt: skip


def calls(tree: ast.AST) -> set[str]:
    """The names that a module calls, without what stands before the dot."""
    functions = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    names = {it.attr for it in functions if isinstance(it, ast.Attribute)}
    return names | {it.id for it in functions if isinstance(it, ast.Name)}


def imported_roots(tree: ast.AST) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    return {name.partition(".")[0] for name in names}


def test_the_contracts_between_the_rooms_hold() -> None:
    """Design: imports point towards protocol; pyproject.toml holds the contracts."""
    lint_imports = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [str(lint_imports), "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", PROTOCOL, ids=lambda path: path.stem)
def test_the_core_reads_no_clock_and_draws_no_chance(path: Path) -> None:
    """Design: times, ids and versions come in as arguments."""
    assert not calls(ast.parse(path.read_text())) & IMPURE_CALLS


@pytest.mark.parametrize("path", PROTOCOL, ids=lambda path: path.stem)
def test_the_core_imports_little(path: Path) -> None:
    """Design: the standard library's values, msgspec, and itself."""
    assert imported_roots(ast.parse(path.read_text())) <= ALLOWED_ROOTS


@pytest.mark.parametrize("source", ["datetime.now()", "uuid4()", "x = time.monotonic()"])
def test_the_scan_finds_what_it_looks_for(source: str) -> None:
    """A scan that finds nothing anywhere would be no scan."""
    assert calls(ast.parse(source)) & IMPURE_CALLS
