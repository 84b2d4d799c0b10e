"""Profiles of hypothesis: `HYPOTHESIS_PROFILE=long` looks longer and at new places each time."""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile(
    "default", max_examples=60, derandomize=True, deadline=None, database=None
)
settings.register_profile("long", max_examples=2_000, deadline=None, database=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))
