"""What the EHR's FHIR API answers when it says no: one exception, one OperationOutcome."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]


class FhirError(Exception):
    """A request that cannot be answered as asked.

    Args:
        status: HTTP status.
        code: FHIR issue type, e.g. ``not-found``.
        diagnostics: The reason in words; never a value from the request body, never PHI.
        headers: Extra HTTP headers, e.g. ``WWW-Authenticate``.
    """

    def __init__(
        self, status: int, code: str, diagnostics: str, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(diagnostics)
        self.status = status
        self.code = code
        self.diagnostics = diagnostics
        self.headers = headers or {}

    def outcome(self) -> Json:
        """Return the OperationOutcome for the response body."""
        return operation_outcome(self.code, self.diagnostics)


def operation_outcome(code: str, diagnostics: str, *, severity: str = "error") -> Json:
    """Build an OperationOutcome with one issue."""
    issue = {"severity": severity, "code": code, "diagnostics": diagnostics}
    return {"resourceType": "OperationOutcome", "issue": [issue]}


def invalid(diagnostics: str) -> FhirError:
    """A 400 for something that is not valid FHIR."""
    return FhirError(400, "invalid", diagnostics)


def not_found(diagnostics: str) -> FhirError:
    """A 404 for something that is not here."""
    return FhirError(404, "not-found", diagnostics)
