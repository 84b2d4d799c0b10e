"""What is measured: our hub, and servers of others that hand an event to WebSockets.

What a machine lacks is said, and the rest goes on.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
import time
from functools import cache
from pathlib import Path

import jwt
from bench.servers import Kind

_HERE = Path(__file__).parent
PEERS = _HERE / "peers"
BUILD = _HERE / ".build"
_NPM_SECONDS = 120
_HS256_KEY = "for-benchmarks-only-" * 3
_TOKEN_SECONDS = 86_400

LABELS = {
    "hub": "FHIRcast hub (this)",
    "starlette": "Starlette `send_text` (baseline)",
    "bare": "bare uvloop (limit)",
    "node": "Node `ws`",
    "nchan": "nginx + nchan (C)",
}
"""What servers are called in the report."""

HUB = Kind(
    "hub",
    lambda _port, _folder: [sys.executable, "-m", "fhircast_hub", "serve"],
    {"FHIRCAST_PORT": "{port}", "FHIRCAST_AUTH": "jwt", "FHIRCAST_JWT_KEY": _HS256_KEY},
    hub_path="/api/hub",
)


def tokens(count: int, user: str = "user") -> list[str]:
    """Return that many tokens for the hub, each of another user."""
    ends = int(time.time()) + _TOKEN_SECONDS
    return [
        jwt.encode(
            {"sub": f"{user}{number}", "client_id": "bench", "scope": "fhircast/*.*", "exp": ends},
            _HS256_KEY,
            algorithm="HS256",
        )
        for number in range(count)
    ]


@cache
def all_kinds() -> tuple[Kind, ...]:
    """Return the hub and the peers, also those that this machine cannot run."""
    return (HUB, _starlette(), _bare(), _node(), _nchan())


def kind_named(name: str) -> Kind:
    """Return one of them.

    Raises:
        KeyError: There is none of that name.
    """
    return {it.name: it for it in all_kinds()}[name]


def _starlette() -> Kind:
    options = ["--ws", "websockets-sansio", "--ws-per-message-deflate", "false"]
    options += ["--no-access-log", "--log-level", "warning", "--timeout-keep-alive", "60"]
    uvicorn = [sys.executable, "-m", "uvicorn", "starlette_app:app", "--app-dir", str(PEERS)]
    return Kind(
        "starlette",
        lambda port, _folder: [*uvicorn, *options, "--backlog", "4096", "--port", str(port)],
    )


def _bare() -> Kind:
    lacks = "" if importlib.util.find_spec("uvloop") else "uvloop is not installed"
    return Kind(
        "bare",
        lambda port, _folder: [sys.executable, str(PEERS / "bare_uvloop.py"), str(port)],
        missing=lacks,
    )


def _node() -> Kind:
    return Kind(
        "node",
        lambda _port, _folder: ["node", str(PEERS / "node_ws.js")],
        {"PORT": "{port}", "NODE_PATH": str(BUILD / "node_modules")},
        missing=_fetch_ws(),
    )


def _fetch_ws() -> str:
    """Have npm fetch the package ws into a folder that is not kept; return what is missing."""
    npm = shutil.which("npm")
    if shutil.which("node") is None:
        return "node is not installed (Debian: apt install nodejs npm)"
    if (BUILD / "node_modules" / "ws").exists():
        return ""
    if npm is None:
        return "npm is not installed (Debian: apt install nodejs npm)"
    BUILD.mkdir(exist_ok=True)
    shutil.copy(PEERS / "package.json", BUILD)
    command = [npm, "install", "--silent", "--no-audit", "--no-fund", "--no-package-lock"]
    try:
        subprocess.run(command, cwd=BUILD, check=True, capture_output=True, timeout=_NPM_SECONDS)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        return "npm could not fetch the package ws"
    return ""


def _nchan() -> Kind:
    modules, lacks = _nchan_modules()

    def command(port: int, folder: Path) -> list[str]:
        (folder / "logs").mkdir()
        (folder / "logs").chmod(0o777)
        written = (PEERS / "nchan.conf").read_text().replace("PORT backlog", f"{port} backlog")
        (folder / "nchan.conf").write_text(written)
        load = f"load_module {modules}/ngx_nchan_module.so;"
        return ["nginx", "-p", str(folder), "-c", str(folder / "nchan.conf"), "-g", load]

    return Kind("nchan", command, missing=lacks)


def _nchan_modules() -> tuple[str, str]:
    """Return the folder of nginx's modules, and what is missing."""
    lacks = "nginx with nchan is not installed (Debian: apt install nginx libnginx-mod-nchan)"
    if shutil.which("nginx") is None:
        return "", lacks
    told = subprocess.run(["nginx", "-V"], capture_output=True, text=True, check=False).stderr
    found = re.search(r"--modules-path=(\S+)", told)
    if not found or not (Path(found[1]) / "ngx_nchan_module.so").exists():
        return "", lacks
    return found[1], ""
