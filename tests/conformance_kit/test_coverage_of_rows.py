"""Nothing that binds a hub is left without a check."""

from __future__ import annotations

from fhircast_conformance.checks import all_checks
from fhircast_conformance.rows import rows


def test_every_row_that_binds_a_hub_has_a_check() -> None:
    """Every row of the catalogue whose actor is a hub."""
    judged = {row for check in all_checks() for row in check.rows}
    assert not [it.id for it in rows().values() if it.binds_hub and it.id not in judged]
