"""The made-up people who can sign in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fhircast_demo.smart.clients import EVERYTHING


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who does not exist.

    Attributes:
        id: As the sign-in page sends it; `sub` of the tokens.
        name: As pages show it.
        role: What the sign-in page says about the rights.
        practitioner: Id of the Practitioner in the EHR, for `fhirUser`.
        scopes: The most that an application gets on this user's behalf.
    """

    id: str
    name: str
    role: str
    practitioner: str
    scopes: tuple[str, ...]

    def resource(self) -> dict[str, Any]:
        """Return the Practitioner."""
        *given, family = self.name.removeprefix("Dr. ").split()
        name = {"family": family, "given": given, "text": self.name}
        return {"resourceType": "Practitioner", "id": self.practitioner, "name": [name]}


_MAY_NOT_WRITE = {"fhircast/*.*": "fhircast/*.read", "user/*.cruds": "user/*.rs"}
USERS = {
    it.id: it
    for it in (
        User("radiologist", "Dr. Ada Reader", "may do everything", "ada-reader", EVERYTHING),
        User(
            "student",
            "Sam Student",
            "may watch: no requests to other applications, nothing written into the EHR",
            "sam-student",
            tuple(_MAY_NOT_WRITE.get(it, it) for it in EVERYTHING),
        ),
    )
}
