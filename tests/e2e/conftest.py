"""The hub that these tests talk to."""

from hub_server import hub, pytest_generate_tests, start_hub

__all__ = ["hub", "pytest_generate_tests", "start_hub"]
