"""Settings: one table of names, defaults, allowed values and what they are good for.

Every setting is a field of `Settings`, a variable `FHIRCAST_…` and a flag of `fhircast serve`. A
wrong value stops the start with one line that says which and what is allowed.
"""

from __future__ import annotations

from fhircast_hub.config.loading import load_settings, unknown_variables
from fhircast_hub.config.names import SettingError, is_loopback, variable_of
from fhircast_hub.config.table import Settings

__all__ = [
    "SettingError",
    "Settings",
    "is_loopback",
    "load_settings",
    "unknown_variables",
    "variable_of",
]
