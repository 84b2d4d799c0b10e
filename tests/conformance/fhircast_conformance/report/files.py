"""Reports as files; `-` is the screen."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Callable


def must_be_writable(*names: str | None) -> None:
    """Make sure, before a run of minutes, that its reports can be written.

    Raises:
        click.UsageError: A folder is missing, or two reports go to one place.
    """
    wanted = [it for it in names if it is not None]
    if len(set(wanted)) < len(wanted):
        raise click.UsageError("--json, --junit and --html: each needs a file of its own")
    for name in wanted:
        if name != "-" and not Path(name).absolute().parent.is_dir():
            raise click.UsageError(f"{name} cannot be written: its folder does not exist")


def write_report(name: str | None, render: Callable[[], str]) -> None:
    """Write a report, if it is wanted.

    Raises:
        click.FileError: It cannot be written.
    """
    if name == "-":
        click.echo(render())
    elif name is not None:
        try:
            Path(name).write_text(render(), encoding="utf-8")
        except OSError as error:
            raise click.FileError(name, error.strerror or "cannot be written") from None
        click.echo(f"written: {name}", err=True)
