"""The error tree of the hub.

    FhircastError
    ├── InvalidRequest          400  a field of the request is missing or wrong
    │   └── AnchorLinkBroken    400  patient, study or accession would no longer agree
    ├── Unauthorized            401  no usable bearer token
    ├── Forbidden               403  the token does not cover this
    ├── UnknownTopic            404  nobody made this topic
    ├── Conflict                409  right in form, but not now
    │   ├── VersionConflict     409  (400 under the IRA profile, D-42)
    │   ├── ContextNotOpen      409
    │   ├── ContextNotCurrent   409
    │   ├── PatientChanged      409
    │   └── DuplicateId         409
    ├── RequestTooSlow          408  the body took too long to come in
    ├── MessageTooLarge         413
    ├── UnsupportedContentType  415
    ├── LimitReached            429
    └── Unavailable             503

Each class carries the HTTP status and the FHIR issue code that a shell may use; the core itself
knows no HTTP. A message names fields, never values that came from outside: neither patient data nor
tokens can end up in an answer or a log through an error.
"""

from __future__ import annotations

from typing import ClassVar


class FhircastError(Exception):
    """A request that the hub refuses.

    Attributes:
        status: HTTP status of a synchronous refusal.
        issue_code: FHIR issue type for an OperationOutcome.
        rule: Requirement id or section of the standard that was not met.
    """

    status: int = 400
    issue_code: ClassVar[str] = "invalid"

    def __init__(self, reason: str, *, rule: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.rule = rule

    def __str__(self) -> str:
        return self.reason


class InvalidRequest(FhircastError):
    """A field of the request is missing or wrong."""

    def __init__(self, field: str, problem: str, *, rule: str) -> None:
        super().__init__(f"{field}: {problem}", rule=rule)
        self.field = field
        self.problem = problem


class AnchorLinkBroken(InvalidRequest):
    """An update would detach a report from its patient, study or accession number."""

    issue_code = "business-rule"


class Unauthorized(FhircastError):
    """No bearer token, or one that is not valid (any more)."""

    status = 401
    issue_code = "login"


class TokenExpired(Unauthorized):
    """A token of a trusted issuer whose time is over: it is no guess."""

    def __init__(self) -> None:
        super().__init__("Authorization: the token has expired", rule="SUB-10")


class Forbidden(FhircastError):
    """The token is valid but does not cover the request."""

    status = 403
    issue_code = "forbidden"


class UnknownTopic(FhircastError):
    """Nobody has made this topic, or it has expired."""

    status = 404
    issue_code = "not-found"

    def __init__(self) -> None:
        super().__init__(
            "hub.topic: no session with this topic; the first subscribe makes it", rule="D-33, D-40"
        )


class Conflict(FhircastError):
    """Right in form, but the state of the session does not allow it."""

    status = 409
    issue_code = "conflict"


class VersionConflict(Conflict):
    """An update is based on a version of the context that is not the last one assigned."""

    def __init__(self, *, expected: str, got: str, ira: bool) -> None:
        super().__init__(
            f"context.versionId: version mismatch, the current version is {expected!r}, "
            f"the update is based on {got[:64]!r}; read the context again and retry with a new id",
            rule="CONT-03, D-42",
        )
        self.expected = expected
        self.got = got
        if ira:
            self.status = 400


class ContextNotOpen(Conflict):
    """The event names an anchor context that is not open."""

    def __init__(self, event: str) -> None:
        super().__init__(
            f"context: {event} names a context that is not open; open it first",
            rule="D-29, CONT-16, IRA-HUB-10",
        )


class ContextNotCurrent(Conflict):
    """A selection names an open context that is not the current one."""

    def __init__(self, event: str) -> None:
        super().__init__(
            f"context: {event} names an open context that is not the current one",
            rule="SEL-03, D-29",
        )


class PatientChanged(Conflict):
    """An open anchor context is opened again for another patient."""

    def __init__(self, event: str) -> None:
        super().__init__(
            f"context: {event} reopens an open context for another patient; close it first",
            rule="D-11",
        )


class DuplicateId(Conflict):
    """An event id came again with another body."""

    def __init__(self) -> None:
        super().__init__("id: this event id was used before with another body", rule="D-28")


class RequestTooSlow(FhircastError):
    """The body took too long to come in."""

    status = 408
    issue_code = "timeout"

    def __init__(self, max_seconds: float) -> None:
        super().__init__(f"body: not complete within {max_seconds:g} seconds", rule="HTTP")


class MessageTooLarge(FhircastError):
    """The body is larger than the hub accepts."""

    status = 413
    issue_code = "too-long"

    def __init__(self, max_bytes: int) -> None:
        super().__init__(f"body: larger than {max_bytes} bytes", rule="CONT-19")


class UnsupportedContentType(FhircastError):
    """The body is neither JSON nor a form."""

    status = 415
    issue_code = "not-supported"


class LimitReached(FhircastError):
    """A bound of the hub is reached; nothing was changed.

    Attributes:
        retry_after_seconds: When a retry is worth it.
    """

    status = 429
    issue_code = "throttled"

    def __init__(self, reason: str, *, rule: str, retry_after_seconds: int = 10) -> None:
        super().__init__(reason, rule=rule)
        self.retry_after_seconds = retry_after_seconds


class Unavailable(FhircastError):
    """The hub cannot keep its promise now; nothing was changed."""

    status = 503
    issue_code = "transient"
    retry_after_seconds: ClassVar[int] = 2
