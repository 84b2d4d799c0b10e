"""One parser under test, and what it may do with any bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Target:
    """A parser, as a function of bytes.

    Attributes:
        parse: Reads the bytes; where something can be written again, it also reads that and
            compares.
        errors: What the parser says it raises, with all that is derived from it.
        exact_errors: What it says it raises, but nothing derived: a ValueError that is really a
            UnicodeError is a fault.
        seeds: Kinds of the corpus to begin with.
    """

    parse: Callable[[bytes], object]
    errors: tuple[type[Exception], ...] = ()
    exact_errors: tuple[type[Exception], ...] = ()
    seeds: tuple[str, ...] = ("json",)

    def check(self, data: bytes) -> bool:
        """Tell whether the bytes were read (True) or refused.

        Raises:
            Exception: Anything that the parser does not say it raises: a finding.
        """
        try:
            self.parse(data)
        except self.errors:
            return False
        except self.exact_errors as error:
            if type(error) not in self.exact_errors:
                raise
            return False
        return True


def text_of(data: bytes) -> str:
    """Bytes as a query or a form field has them: UTF-8, with marks for what is none."""
    return data.decode("utf-8", errors="replace")


def header_of(data: bytes) -> str:
    """Bytes as a server hands out a header's value."""
    return data.decode("latin-1")
