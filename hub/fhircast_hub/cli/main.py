"""The verbs of `fhircast`; each is imported only when it is used."""

from __future__ import annotations

import importlib
from typing import ClassVar

import click

from fhircast_hub import __version__


class _Verbs(click.Group):
    """Verbs by name, loaded on use: `--help` stays quick."""

    _WHERE: ClassVar[dict[str, str]] = {
        "serve": "fhircast_hub.cli.serve:serve",
        "demo": "fhircast_demo.cli:demo",
        "sub": "fhircast_hub.cli.sub:sub",
        "pub": "fhircast_hub.cli.pub:pub",
        "context": "fhircast_hub.cli.context:context",
        "audit": "fhircast_hub.cli.audit:audit",
        "token": "fhircast_hub.cli.token:token",
        "plan": "fhircast_hub.cli.plan:plan",
        "conform": "fhircast_conformance.cli:conform",
        "conform-subscriber": "fhircast_conformance.subscriber.cli:conform_subscriber",
        "bench": "fhircast_bench.cli:bench",
    }

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._WHERE)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        where = self._WHERE.get(cmd_name)
        if where is None:
            return None
        module, _, name = where.partition(":")
        command = getattr(importlib.import_module(module), name)
        assert isinstance(command, click.Command)  # noqa: S101 - the table above names commands
        return command


@click.group(
    cls=_Verbs,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 fine, 1 it ran and the answer is no, 2 wrong use.",
)
@click.version_option(__version__, prog_name="fhircast")
def main() -> None:
    """FHIRcast: keep radiology applications on the same patient.

    \b
    Try it:        fhircast demo
    Run a hub:     fhircast serve
    Look into it:  fhircast sub TOPIC      (events as they come)
                   fhircast context TOPIC  (what is open now)
                   fhircast pub TOPIC EVENT --file context.json
    """  # noqa: D301 - click reads the \b
