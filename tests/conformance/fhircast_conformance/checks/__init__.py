"""The checks of a hub, a file for each family of rows; importing this package registers them."""

from __future__ import annotations

import importlib
import pkgutil

from fhircast_conformance.check import Check, registered


def all_checks() -> tuple[Check, ...]:
    """Import every file of this package and return all checks."""
    for found in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{found.name}")
    return registered()
