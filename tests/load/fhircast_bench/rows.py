"""Every event of a run as a row of CSV."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from fhircast_bench.ledger import Sent
    from fhircast_bench.record import Record

COLUMNS = (
    "topic",
    "position",
    "event",
    "is_warm_up",
    "due_seconds",
    "status",
    "answer_ms",
    "first_delivery_ms",
    "last_delivery_ms",
    "deliveries",
)


def write_rows(record: Record, file: TextIO) -> None:
    """Write a head and a row for each event, in the order in which they were sent.

    Times are since the first event was due (`due_seconds`), or since the event itself was due
    (`…_ms`); a field is empty for what never came.
    """
    rows = csv.writer(file)
    rows.writerow(COLUMNS)
    began_at = record.ledger.sent[0].due_at if record.ledger.sent else 0.0
    for event in record.ledger.sent:
        rows.writerow(
            (
                event.topic,
                event.position,
                event.name,
                int(not event.counts),
                f"{event.due_at - began_at:.6f}",
                event.status or "",
                _since(event, event.answered_at),
                _since(event, event.first_at),
                _since(event, event.last_at),
                event.deliveries,
            )
        )


def _since(event: Sent, moment: float) -> str:
    return f"{1000 * (moment - event.due_at):.3f}" if moment else ""
