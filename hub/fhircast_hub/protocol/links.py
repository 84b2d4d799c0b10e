"""The links that an update must never break: patient, Study Instance UID, accession number.

The open event says which patient, study and accession number the report is about. A later update
may add to these resources, but where it states one of the links it must state the same
(IRA-HUB-11). Checked in every profile: a wrong link is a wrong patient.
"""

from __future__ import annotations

import msgspec

from fhircast_hub.protocol.errors import AnchorLinkBroken
from fhircast_hub.protocol.messages import decode_part, reference_key


class _Coding(msgspec.Struct, frozen=True):
    code: str = ""


class _Concept(msgspec.Struct, frozen=True):
    coding: list[_Coding] = []


class _Identifier(msgspec.Struct, frozen=True):
    system: str = ""
    value: str = ""
    type: _Concept = _Concept()

    def is_a(self, code: str) -> bool:
        return any(coding.code == code for coding in self.type.coding)


class _Reference(msgspec.Struct, frozen=True):
    reference: str = ""
    identifier: _Identifier | None = None


class _Linked(msgspec.Struct, frozen=True):
    """The parts of a Patient, ImagingStudy or DiagnosticReport that tie it to the others."""

    identifier: list[_Identifier] = []
    subject: _Reference = _Reference()
    based_on: list[_Reference] = msgspec.field(name="basedOn", default_factory=list)


def check_links(resource_type: str, opened: bytes, updated: bytes, *, field: str) -> None:
    """Pass if the updated resource states the same links as the one that was opened.

    A link that the update leaves out altogether is left as it is; a list of identifiers without one
    of the links counts as a change.

    Args:
        resource_type: Type of both resources.
        opened: JSON of the resource in the open event.
        updated: JSON of the resource in the update.
        field: Where the updated resource stands, for the error.

    Raises:
        AnchorLinkBroken: Patient identifier, Study Instance UID, accession or subject differ.
        InvalidRequest: The updated resource does not have the shape that FHIR gives it.

    Spec: RAD-150; IRA-HUB-11, PROF-03.
    """
    before = decode_part(opened, _Linked, field, "IRA-HUB-11")
    after = decode_part(updated, _Linked, field, "IRA-HUB-11")
    subject, new_subject = (reference_key(it.subject.reference) for it in (before, after))
    if subject and new_subject and subject != new_subject:
        raise AnchorLinkBroken(f"{field}.subject", "names another patient", rule="PROF-03")
    linking = [it for it in before.identifier if _links(resource_type, it)]
    if after.identifier and not _all_in(linking, after.identifier):
        raise AnchorLinkBroken(
            f"{field}.identifier",
            "patient identifier, Study Instance UID or accession number would change",
            rule="IRA-HUB-11",
        )
    accessions = _accessions(after.based_on)
    if accessions and not _all_in(_accessions(before.based_on), accessions):
        raise AnchorLinkBroken(
            f"{field}.basedOn", "the accession number would change", rule="IRA-HUB-11"
        )


def _links(resource_type: str, identifier: _Identifier) -> bool:
    if resource_type == "Patient":
        return True
    if resource_type == "ImagingStudy":
        return identifier.system == "urn:dicom:uid" or any(
            identifier.is_a(code) for code in ("110180", "ACSN")
        )
    return identifier.is_a("ACSN")


def _accessions(references: list[_Reference]) -> list[_Identifier]:
    return [it.identifier for it in references if it.identifier and it.identifier.is_a("ACSN")]


def _all_in(linking: list[_Identifier], stated: list[_Identifier]) -> bool:
    values = {(it.system, it.value) for it in stated}
    return all((it.system, it.value) in values for it in linking)
