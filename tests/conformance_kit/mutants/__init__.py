"""Deliberately broken hubs: ours, with one rule replaced by a fault that hubs in the field have.

Each names the rows that the kit must turn red. A broken hub has one fault and no more, so what else
turns red is a fault of the kit.
"""

from __future__ import annotations

from conformance_kit.mutants import (
    content,
    contexts,
    events,
    replaying,
    rights,
    subscribing,
    sync_errors,
)
from conformance_kit.mutants.registry import MUTANTS, Mutant

__all__ = [
    "MUTANTS",
    "Mutant",
    "content",
    "contexts",
    "events",
    "replaying",
    "rights",
    "subscribing",
    "sync_errors",
]
