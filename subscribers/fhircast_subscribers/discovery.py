"""Finding a hub and what it can do: the well-known document, the FHIR server's CapabilityStatement.

Spec: 2.7; WK-01 … WK-06, CAP-01.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fhircast_subscribers.fhir import objects

if TYPE_CHECKING:
    from collections.abc import Mapping

WELL_KNOWN = "/.well-known/fhircast-configuration"
_EXTENSIONS = {
    "http://fhircast.hl7.org/StructureDefinition/fhircast-configuration-extension": "valueUrl",
    "http://fhircast.hl7.org/StructureDefinition/fhircast-configuration": "valueUri",
}


@dataclass(frozen=True, slots=True)
class HubConfiguration:
    """What a hub says about itself; what it does not say is "" or False (WK-06).

    Attributes:
        events: `eventsSupported`.
        has_websocket: `websocketSupport`.
        has_current_context: Whether GET of the current context works.
        has_non_current_updates: Whether updates of an open context that is not current work.
        fhircast_version: E.g. "3.0.0".
        fhir_version: E.g. "R4".
    """

    events: tuple[str, ...]
    has_websocket: bool
    has_current_context: bool = False
    has_non_current_updates: bool = False
    fhircast_version: str = ""
    fhir_version: str = ""

    def supports(self, event_name: str) -> bool:
        """Whether the hub names this event, in any case (GEN-03)."""
        return event_name.lower() in {it.lower() for it in self.events}


def read_configuration(document: object) -> HubConfiguration:
    """Return what a well-known document says; fields that are not known here are passed over.

    Raises:
        ValueError: It is no JSON object with a list of events.
    """
    if not isinstance(document, dict) or not isinstance(document.get("eventsSupported"), list):
        raise ValueError("no eventsSupported (WK-02)")
    capabilities = document.get("capabilities")
    capabilities = capabilities if isinstance(capabilities, dict) else {}
    get_current = capabilities.get("supportsGetCurrentContext", document.get("getCurrentSupport"))
    return HubConfiguration(
        events=tuple(it for it in document["eventsSupported"] if isinstance(it, str)),
        has_websocket=document.get("websocketSupport") is True,
        has_current_context=get_current is True,
        has_non_current_updates=capabilities.get("supportsNonCurrentContextUpdates") is True,
        fhircast_version=_text(document.get("fhircastVersion")),
        fhir_version=_text(document.get("fhirVersion")),
    )


def hub_url_of(capability_statement: Mapping[str, Any]) -> str:
    """Return the `hub.url` that a FHIR server's CapabilityStatement names, "" if none (CAP-01)."""
    for rest in objects(capability_statement.get("rest")):
        for extension in objects(rest.get("extension")):
            value_name = _EXTENSIONS.get(_text(extension.get("url")))
            for part in objects(extension.get("extension")):
                if value_name and part.get("url") == "hub.url":
                    return _text(part.get(value_name))
    return ""


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
