"""What a setting is called, the error that names it, and which addresses are this machine's."""

from __future__ import annotations

import ipaddress

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


def is_loopback(host: str) -> bool:
    """Tell whether an address can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
