"""How far a process is in what a topic publishes, and what follows from the next thing it hears.

What is published carries the life of its session and a number that counts up. A channel of Redis
forgets what it cannot deliver, so a missing number is all that tells of a loss.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


class Verdict(Enum):
    """What to do with something published, or with what a look at the session says."""

    TAKE = "the next one: hand it on"
    SKIP = "known already, or nobody here needs it"
    LOST = "something before it was missed"
    GONE = "the session that was followed is no more"


@dataclass(slots=True)
class Place:
    """Where one process is in what one topic publishes.

    Attributes:
        life: Of the session, b"" if there is none.
        number: Of what was heard last, or is known from a look at the session.
        is_known: Whether that is known; before, nobody here relies on it.
        joins: Endpoint -> number of a join of this process that is not heard yet.
    """

    life: bytes = b""
    number: int = 0
    is_known: bool = False
    joins: dict[str, int] = field(default_factory=dict)

    def start(self, life: bytes, number: int) -> None:
        """Begin at what a look at the session says, unless that session is followed already.

        What was heard before the look is answered may be newer than what it says.
        """
        if self.life != life:
            self.life, self.number = life, number
        elif not self.is_known:
            self.number = max(self.number, number)
        self.is_known = True

    def hear(self, life: bytes, number: int) -> Verdict:
        """Judge what was published, and move on."""
        if not self.is_known:
            self.life, self.number = life, number
            return Verdict.SKIP
        if life != self.life:
            is_first = not self.life and number == 1
            self.life, self.number = life, number
            return Verdict.TAKE if is_first else Verdict.GONE
        if number <= self.number:
            return Verdict.SKIP
        is_next = number == self.number + 1
        self.number = number
        return Verdict.TAKE if is_next else Verdict.LOST

    def compare(self, life: bytes, number: int, *, before: int) -> Verdict:
        """Judge, after a break, a look at the session.

        Args:
            life: Of the session, b"" if there is none.
            number: Of what it published last.
            before: `number` of this place before the look; beyond it nothing is missing if it was
                heard meanwhile. A session with less was put back, from an older copy.
        """
        self.joins.clear()
        if not self.is_known:
            return Verdict.SKIP
        if life != self.life:
            self.life, self.number = life, number
            return Verdict.GONE
        if before <= number <= self.number:
            return Verdict.SKIP
        self.number = number
        return Verdict.LOST

    def note_join(self, endpoint_id: str, number: int) -> None:
        """Note that an endpoint was joined at this process; its number is still to be heard."""
        if number > self.number:
            self.joins[endpoint_id] = number

    def is_moved(self, endpoint_id: str, number: int, *, is_own: bool) -> bool:
        """Tell whether an endpoint is another process's now, by a join of this number.

        Not if it came back here since: that is told by a number that is still to come.
        """
        latest = self.joins.get(endpoint_id, 0)
        if latest <= number:
            self.joins.pop(endpoint_id, None)
        return not is_own and latest < number
