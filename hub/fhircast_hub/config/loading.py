"""From an environment and flags to complete settings."""

from __future__ import annotations

import difflib
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from fhircast_hub.config.checks import check, with_profile_defaults
from fhircast_hub.config.names import PREFIX, variable_of
from fhircast_hub.config.table import Settings
from fhircast_hub.config.values import parse_value

if TYPE_CHECKING:
    from collections.abc import Mapping

_OTHER_VERBS = frozenset({"FHIRCAST_HUB", "FHIRCAST_TOKEN", "FHIRCAST_DEMO_PORT"})
"""Variables that the other verbs of `fhircast` read."""


def load_settings(
    environment: Mapping[str, str], overrides: Mapping[str, str] | None = None
) -> Settings:
    """Return the settings of an environment, with those given by flags on top.

    Args:
        environment: The process's environment.
        overrides: Setting's name -> text, for settings given by flag.

    Raises:
        SettingError: A value is not allowed, or two settings do not fit together.
    """
    values: dict[str, Any] = {}
    for it in fields(Settings):
        variable = variable_of(it.name)
        text = (overrides or {}).get(it.name, environment.get(variable))
        if text is not None:
            values[it.name] = parse_value(variable, text.strip(), it.metadata)
    return check(with_profile_defaults(Settings(**values)))


def unknown_variables(environment: Mapping[str, str]) -> list[str]:
    """Return a warning for each `FHIRCAST_…` variable that is no setting, with the nearest one."""
    bare = [it.name.upper() for it in fields(Settings)]
    known = [PREFIX + it for it in bare]
    warnings = []
    for name in sorted(environment):
        if name.startswith(PREFIX) and name not in _OTHER_VERBS.union(known):
            # Without the prefix, which would make every name near to every other.
            near = difflib.get_close_matches(name.removeprefix(PREFIX), bare, n=1)
            hint = f"; did you mean {PREFIX}{near[0]}?" if near else ""
            warnings.append(f"{name} is no setting of the hub{hint}")
    return warnings
