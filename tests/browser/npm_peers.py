"""Packages of npm that are peers in the browser tests: fetched once, never installed."""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

_PEERS = Path(__file__).parent / "peers"
_CACHE = _PEERS / ".cache"
_FETCH_SECONDS = 120


def peer_file(package: str, path: str) -> str:
    """Return the text of a file of a pinned package, or skip the test.

    Args:
        package: Named in `peers/package.json`.
        path: Within the package.
    """
    version = json.loads((_PEERS / "package.json").read_text())["dependencies"][package]
    archive = _CACHE / f"{package}-{version}.tgz"
    if not archive.exists():
        _fetch(f"{package}@{version}")
    with tarfile.open(archive) as packed:
        file = packed.extractfile(f"package/{path}")
        assert file is not None
        return file.read().decode()


def _fetch(package: str) -> None:
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("no npm on this machine (Debian: apt install nodejs npm)")
    _CACHE.mkdir(exist_ok=True)
    command = [npm, "pack", package, "--silent", "--pack-destination", str(_CACHE)]
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=_FETCH_SECONDS)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        pytest.skip(f"npm could not fetch {package}")
