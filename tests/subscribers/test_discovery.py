"""The well-known document and the CapabilityStatement, read generously."""

from __future__ import annotations

from typing import Any

import pytest
from fhircast_demo.ehr.capability import capability_statement
from fhircast_subscribers import connect, hub_url_of
from fhircast_subscribers.discovery import read_configuration
from subscribers.clients import FAST

HUB = "https://hub.example.org/fhircast"
DOCUMENT: dict[str, Any] = {"eventsSupported": ["Patient-open"], "websocketSupport": True}


@pytest.mark.parametrize(
    "extra",
    [{}, {"webhookSupport": False, "x": 1}, {"capabilities": 7}, {"fhirVersion": ["R4"]}],
)
def test_what_is_not_known_is_ignored(extra: dict[str, Any]) -> None:
    """WK-06."""
    configuration = read_configuration(DOCUMENT | extra)
    assert configuration.has_websocket
    assert configuration.supports("patient-open")
    assert not configuration.has_current_context


@pytest.mark.parametrize(
    "extra",
    [{"getCurrentSupport": True}, {"capabilities": {"supportsGetCurrentContext": True}}],
)
def test_get_is_read_in_both_forms(extra: dict[str, Any]) -> None:
    """WK-05."""
    assert read_configuration(DOCUMENT | extra).has_current_context


@pytest.mark.parametrize("document", [None, [], {}, {"eventsSupported": "Patient-open"}])
def test_what_is_no_configuration_is_refused(document: object) -> None:
    """WK-02."""
    with pytest.raises(ValueError, match="eventsSupported"):
        read_configuration(document)


async def test_real_hub_is_understood(hub_url: str) -> None:
    """WK-01, WK-06."""
    async with connect(hub_url, "topic-1", name="ID", settings=FAST) as session:
        configuration = await session.read_configuration()
        assert configuration.has_websocket
        assert configuration.has_current_context
        assert configuration.fhircast_version == "3.0.0"


def test_hub_url_is_read_from_the_demo_ehr() -> None:
    """CAP-01."""
    statement = capability_statement("https://ehr.example.org", hub_url=HUB, security=None)
    assert hub_url_of(statement) == HUB


def test_hub_url_is_read_in_the_older_form() -> None:
    """CAP-01: STU2 had another extension and valueUri."""
    url = "http://fhircast.hl7.org/StructureDefinition/fhircast-configuration"
    extension = {"url": url, "extension": [{"url": "hub.url", "valueUri": HUB}]}
    assert hub_url_of({"rest": [{"mode": "server", "extension": [extension]}]}) == HUB


@pytest.mark.parametrize("statement", [{}, {"rest": 7}, {"rest": [{"extension": [{"url": 1}]}]}])
def test_server_without_a_hub_names_none(statement: dict[str, Any]) -> None:
    """CAP-01: MAY."""
    assert hub_url_of(statement) == ""
