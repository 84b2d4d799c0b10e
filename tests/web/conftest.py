"""The hub that these tests talk to; properties are tried the same way in every run."""

from hub_server import hub, start_hub
from hypothesis import HealthCheck, settings

__all__ = ["hub", "start_hub"]

settings.register_profile(
    "default",
    max_examples=60,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],  # of a machine that others use, too
)
settings.load_profile("default")
