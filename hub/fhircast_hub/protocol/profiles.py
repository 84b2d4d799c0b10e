"""The standard's profiles for opens and closes, as far as a hub can check them cheaply (D-31).

What is found here is logged and forwarded, or refused by a switch. Without it a hub holds back
nothing that its subscribers could use: a missing element reads as "not available" (PROF-12).
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import msgspec
from msgspec import Raw

from fhircast_hub.protocol.errors import InvalidRequest
from fhircast_hub.protocol.events import EventKind, context_key
from fhircast_hub.protocol.messages import decode_part, reference_key

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fhircast_hub.protocol.messages import ContextEntry, EventNotification

_KEYS: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    "Patient": (frozenset({"patient"}), frozenset()),
    "Encounter": (frozenset({"encounter", "patient"}), frozenset()),
    "ImagingStudy": (frozenset({"study"}), frozenset({"patient", "encounter"})),
    "DiagnosticReport": (frozenset({"report", "patient"}), frozenset({"study", "encounter"})),
}
"""Keys of the catalogued opens and closes: those that must and those that may be there."""

_ANYWHERE = "extension"
"""GEN-04: may stand in every context array."""


class _Identifier(msgspec.Struct, frozen=True):
    system: str = ""
    value: str = ""


class _Reference(msgspec.Struct, frozen=True):
    reference: str = ""


class _Profiled(msgspec.Struct, frozen=True):
    """The elements that the profiles ask for."""

    id: str = ""
    identifier: list[_Identifier] = []
    status: str = ""
    class_: Raw = msgspec.field(name="class", default=Raw())
    subject: _Reference | None = None
    based_on: list[Raw] = msgspec.field(name="basedOn", default_factory=list)


def profile_faults(notification: EventNotification) -> list[InvalidRequest]:
    """Return what an open or close lacks, or has too much, by the profiles of its event.

    Their texts name elements of the standard only, so that they can be logged.

    Spec: 3.3 … 3.6 and the profiles; EVT-16, PROF-01, PROF-04, PROF-05, PROF-08, PROF-09.
    """
    if notification.name.kind not in {EventKind.OPEN, EventKind.CLOSE}:
        return []
    faults = list(_key_faults(notification))
    for entry in notification.context:
        if entry.head is not None:
            faults += _resource_faults(entry, notification)
    return faults


def _key_faults(notification: EventNotification) -> Iterator[InvalidRequest]:
    if notification.name.anchor_type is None:  # Home-open
        if notification.context:
            yield InvalidRequest("context", "must be empty", rule="INF-04")
        return
    if notification.name.anchor_type not in _KEYS:
        return
    required, optional = _KEYS[notification.name.anchor_type]
    counts = Counter(entry.key for entry in notification.context)
    for key in sorted(required - counts.keys()):
        yield InvalidRequest(f"context.{key}", "missing", rule="EVT-16")
    if counts.keys() - required - optional - {_ANYWHERE}:
        yield InvalidRequest("context", "holds a key that the event does not have", rule="EVT-16")
    if counts["encounter"] > 1:
        yield InvalidRequest("context.encounter", "occurs more than once", rule="PROF-09")


def _resource_faults(
    entry: ContextEntry, notification: EventNotification
) -> Iterator[InvalidRequest]:
    resource_type = entry.head.resource_type if entry.head else ""
    rule = _RULES.get((resource_type, notification.name.kind))
    if rule is None:
        return
    where = f"context.{context_key(resource_type)}"
    try:
        resource = decode_part(entry.resource, _Profiled, where, rule[0])
    except InvalidRequest as fault:
        yield fault
        return
    for element in rule[1]:
        if not getattr(resource, {"class": "class_"}.get(element, element)):
            yield InvalidRequest(f"{where}.{element}", "missing", rule=rule[0])
    yield from _further_faults(resource_type, resource, where, notification)


_RULES: dict[tuple[str, EventKind], tuple[str, tuple[str, ...]]] = {
    ("Patient", EventKind.OPEN): ("PROF-01", ("id", "identifier")),
    ("Encounter", EventKind.OPEN): ("PROF-04", ("id", "identifier", "status", "class", "subject")),
    ("Encounter", EventKind.CLOSE): ("PROF-04", ("id", "status", "class", "subject")),
    ("ImagingStudy", EventKind.OPEN): ("PROF-05", ("id", "identifier", "status", "subject")),
    ("DiagnosticReport", EventKind.OPEN): ("PROF-08", ("id", "status", "subject")),
}
"""Resource and kind of event -> rule, and the elements that must be there."""


def _further_faults(
    resource_type: str, resource: _Profiled, where: str, notification: EventNotification
) -> Iterator[InvalidRequest]:
    """What is more than the presence of one element."""
    match resource_type:
        case "Encounter" if _is_of_another(resource.subject, notification):
            yield InvalidRequest(f"{where}.subject", "is not the event's patient", rule="PROF-04")
        case "ImagingStudy":
            uids = [it.value for it in resource.identifier if it.system == "urn:dicom:uid"]
            if not all(uid.startswith("urn:oid:") for uid in uids):
                yield InvalidRequest(
                    f"{where}.identifier", "a Study UID must start with urn:oid:", rule="PROF-05"
                )
        case "DiagnosticReport" if not (resource.identifier or resource.based_on):
            yield InvalidRequest(where, "has neither identifier nor basedOn", rule="PROF-08")
        case _:
            pass


def _is_of_another(subject: _Reference | None, notification: EventNotification) -> bool:
    patients = [entry.target for entry in notification.entries("patient")]
    if subject is None or not patients:
        return False  # said elsewhere
    return reference_key(subject.reference) not in patients
