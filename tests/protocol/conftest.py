"""Profiles of hypothesis: `HYPOTHESIS_PROFILE=long` looks longer and at new places each time."""

from __future__ import annotations

import os

from hypothesis import Phase, settings

_PHASES = (Phase.explicit, Phase.generate, Phase.shrink)
"""Without `explain`, which takes minutes over a long sequence that fails."""

settings.register_profile(
    "default", max_examples=60, derandomize=True, deadline=None, database=None, phases=_PHASES
)
settings.register_profile("long", max_examples=2_000, deadline=None, database=None, phases=_PHASES)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))
