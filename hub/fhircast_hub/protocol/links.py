"""The links that an update must never break: patient, Study Instance UID, accession number.

The open event says which patient, study and accession number the report is about. A later update
may add to these resources, but the identifiers that tie them together stay as they are
(IRA-HUB-11). Checked in every profile: a wrong link is a wrong patient. Only which studies a report
names is free in the base profile, where an update may move on to another one (3.6.3, example).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from fhircast_hub.protocol.decoding import decode_part
from fhircast_hub.protocol.errors import AnchorLinkBroken
from fhircast_hub.protocol.notification import reference_key

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fhircast_hub.protocol.notification import EventNotification

_UID_SYSTEM = "urn:dicom:uid"


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

    @property
    def is_study_uid(self) -> bool:
        return self.system == _UID_SYSTEM or self.is_a("110180")

    @property
    def name(self) -> tuple[str, str]:
        """System and value; a Study Instance UID is the same with and without `urn:oid:`."""
        if self.is_study_uid:
            return _UID_SYSTEM, self.value.removeprefix("urn:oid:")
        return self.system, self.value


class _Reference(msgspec.Struct, frozen=True):
    reference: str = ""
    identifier: _Identifier | None = None


class _Linked(msgspec.Struct, frozen=True):
    """The parts of a Patient, ImagingStudy or DiagnosticReport that tie it to the others."""

    identifier: list[_Identifier] = []
    subject: _Reference = _Reference()
    based_on: list[_Reference] = msgspec.field(name="basedOn", default_factory=list)
    study: list[_Reference] = []
    imaging_study: list[_Reference] = msgspec.field(name="imagingStudy", default_factory=list)

    @property
    def studies(self) -> set[str]:
        """The studies that a report names, in the way of R4 or of R5 (D-37)."""
        named = (reference_key(it.reference) for it in (*self.study, *self.imaging_study))
        return set(filter(None, named))


class _Subject(msgspec.Struct, frozen=True):
    subject: _Reference | None = None


def patient_named(opened: EventNotification) -> str:
    """Return the "Patient/id" that an open is about, "" if it names none.

    What the context says comes first; where it has no patient, or one without an id, the subject
    of its anchor tells, or that of the study.

    Spec: 2.10, RAD-148; D-11.
    """
    for entry in opened.entries("patient"):
        if entry.target.startswith("Patient/"):
            return entry.target
    for key in (opened.name.anchor_key, "study"):
        for entry in opened.entries(key):
            subject = _subject_of(entry.resource) if entry.head is not None else ""
            if subject.startswith("Patient/"):
                return subject
    return ""


def _subject_of(resource: bytes) -> str:
    try:
        subject = msgspec.json.decode(resource, type=_Subject).subject
    except msgspec.ValidationError:  # a fault of the profile, which is not judged here
        return ""
    return reference_key(subject.reference) if subject else ""


def check_links(
    resource_type: str, opened: bytes, updated: bytes, *, field: str, ira: bool = False
) -> None:
    """Pass if the updated resource states the same links as the one that was opened.

    A PUT replaces the whole resource, so a patient or study that comes without its identifiers has
    lost them. A report may leave its links out: the anchor keeps them, and the standard's own
    examples do so.

    Args:
        resource_type: Type of both resources.
        opened: JSON of the resource in the open event.
        updated: JSON of the resource in the update.
        field: Where the updated resource stands, for the error.
        ira: Whether the studies that a report names are links too.

    Raises:
        AnchorLinkBroken: Patient identifier, Study Instance UID, accession, subject or study would
            change or vanish.
        InvalidRequest: The updated resource does not have the shape that FHIR gives it.

    Spec: RAD-150; IRA-HUB-11, PROF-03.
    """
    before = decode_part(opened, _Linked, field, "IRA-HUB-11")
    after = decode_part(updated, _Linked, field, "IRA-HUB-11")
    subject, new_subject = (reference_key(it.subject.reference) for it in (before, after))
    if subject and new_subject and subject != new_subject:
        raise AnchorLinkBroken(f"{field}.subject", "names another patient", rule="PROF-03")
    linking = [it for it in before.identifier if _links(resource_type, it)]
    may_be_left_out = resource_type == "DiagnosticReport"
    if not _is_kept(linking, after.identifier, may_be_left_out=may_be_left_out):
        raise AnchorLinkBroken(
            f"{field}.identifier",
            "patient identifier, Study Instance UID or accession number would change",
            rule="IRA-HUB-11",
        )
    accessions, new_accessions = _accessions(before.based_on), _accessions(after.based_on)
    if not _is_kept(accessions, new_accessions, may_be_left_out=may_be_left_out):
        raise AnchorLinkBroken(
            f"{field}.basedOn", "the accession number would change", rule="IRA-HUB-11"
        )
    if ira and after.studies and not before.studies <= after.studies:
        raise AnchorLinkBroken(f"{field}.study", "names another study", rule="IRA-HUB-11")


def _links(resource_type: str, identifier: _Identifier) -> bool:
    if resource_type == "Patient":
        return True
    if resource_type == "ImagingStudy":
        return identifier.is_study_uid or identifier.is_a("ACSN")
    return identifier.is_a("ACSN")


def _accessions(references: list[_Reference]) -> list[_Identifier]:
    return [it.identifier for it in references if it.identifier and it.identifier.is_a("ACSN")]


def _is_kept(
    linking: list[_Identifier], stated: list[_Identifier], *, may_be_left_out: bool
) -> bool:
    """Tell whether every link is stated again and none has a second value beside it."""
    if not stated and may_be_left_out:
        return True
    names = {it.name for it in linking}
    added = (it for it in stated if it.name not in names)
    return names <= {it.name for it in stated} and not any(_rivals(it, linking) for it in added)


def _rivals(added: _Identifier, linking: Iterable[_Identifier]) -> bool:
    """Tell whether an identifier claims to be what one of the links is.

    It does if it is of the same system, or, where there is no system, of the same type.
    """
    codes = {coding.code for coding in added.type.coding}
    return any(
        added.name[0] == it.name[0]
        and (added.name[0] or any(it.is_a(code) for code in codes) or not (codes or it.type.coding))
        for it in linking
    )
