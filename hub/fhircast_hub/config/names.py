"""What a setting is called, and the error that names it."""

from __future__ import annotations

PREFIX = "FHIRCAST_"


class SettingError(ValueError):
    """A setting has a value that is not allowed.

    Attributes:
        variable: Name of the variable.
    """

    def __init__(self, variable: str, value: str, allowed: str) -> None:
        super().__init__(f"{variable}={value!r}: allowed is {allowed}")
        self.variable = variable


def variable_of(name: str) -> str:
    """Return the environment variable of a setting."""
    return PREFIX + name.upper()
