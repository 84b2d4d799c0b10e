"""What a setting is called, the error that names it, and which addresses are this machine's."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path

PREFIX = "FHIRCAST_"
_PASSWORD = re.compile(r"//[^/\s]*@")


class SettingError(ValueError):
    """A setting has a value that is not allowed.

    Attributes:
        variable: Name of the variable.
    """

    def __init__(self, variable: str, value: str, allowed: str) -> None:
        shown = _PASSWORD.sub("//…@", value)
        super().__init__(f"{variable}={shown!r}: allowed is {allowed}")
        self.variable = variable


def variable_of(name: str) -> str:
    """Return the environment variable of a setting."""
    return PREFIX + name.upper()


_KEY_FILES = (".pem", ".pub", ".crt", ".cer", ".cert", ".der", ".key")


def names_a_file(key: str) -> bool:
    """Tell whether a key is the path of a file, and not a secret itself.

    A path that was taken for a secret would be a secret that everybody can guess. Whatever looks
    like a path is one, even if there is no such file.
    """
    return key.endswith(_KEY_FILES) or key.startswith(("/", "./", "../", "~")) or is_file(key)


def is_file(path: str) -> bool:
    """Tell whether there is a file of that name; what can be no name is none."""
    try:
        return Path(path).is_file()
    except (OSError, ValueError):
        return False


def is_loopback(host: str) -> bool:
    """Tell whether an address can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
