"""What people do in a reading room, as events: pure but for the dice, which have a seed.

A reading: a study or a report is opened, measurements are shared and selected, and it is closed.
Patients, studies and values are made up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from builders import bundle, case, item, key_of, observation, put, ref, target

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

Items = list[dict[str, Any]]
Step = tuple[str, Items]
"""An event and its context; an update is to be given the newest version."""

EVENTS = ",".join(
    (
        *(f"{it}-{end}" for it in ("Patient", "ImagingStudy") for end in ("open", "close")),
        *(f"DiagnosticReport-{it}" for it in ("open", "close", "update", "select")),
        "SyncError",
    )
)
"""What every application of the room subscribes to."""

SECONDS_EACH = 300
"""A reading takes about five minutes."""

_LOOKS = 0.2
"""Share of the readings in which a study is looked at only, without a report."""

_UPDATES = (3, 6)
_SELECTS = (2, 5)


def kind_of(event: str) -> str:
    """Return "open", "update", "select" or "close"."""
    return event.rpartition("-")[2]


def readings(dice: Random, first: int) -> Iterator[Step]:
    """Return the events of one reading after the other, without end.

    Args:
        dice: What decides how a reading goes.
        first: Number of the first case.
    """
    number = first
    while True:
        number += 1
        yield from _look(number) if dice.random() < _LOOKS else _report(dice, number)


def _look(number: int) -> Iterator[Step]:
    _, patient, study = case(number)
    yield "ImagingStudy-open", [item(study), item(patient)]
    yield "ImagingStudy-close", [item(study), item(patient)]


def _report(dice: Random, number: int) -> Iterator[Step]:
    report, patient, study = case(number)
    anchor = ref(target(report), key_of(report))
    yield "DiagnosticReport-open", [item(report), item(patient), item(study)]
    steps = ["update"] * dice.randint(*_UPDATES) + ["select"] * dice.randint(*_SELECTS)
    dice.shuffle(steps)
    shared = 0
    for step in steps:
        if step == "update" or not shared:
            shared += 1
            found = observation(f"ob-{number}-{shared}", round(dice.uniform(1, 99), 1))
            found["subject"] = {"reference": target(patient)}
            yield (
                "DiagnosticReport-update",
                [anchor, {"key": "updates", "resource": bundle(put(found))}],
            )
        else:
            chosen = f"Observation/ob-{number}-{dice.randint(1, shared)}"
            yield "DiagnosticReport-select", [anchor, ref(chosen, "select")]
    yield "DiagnosticReport-close", [item(report), item(patient), item(study)]
