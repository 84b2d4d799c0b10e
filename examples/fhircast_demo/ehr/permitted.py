"""The store as one caller may see it: every access is checked, whichever route it came by."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from fhircast_demo.ehr.errors import Json
    from fhircast_demo.ehr.store import FhirStore, Stored

May = Callable[[str, str], None]
"""Passes if one of c, r, u, d, s may be done with resources of a type, or raises `FhirError`."""


class Resources(Protocol):
    """What reading and writing needs: the store, or a caller's view of it."""

    def all_of(self, resource_type: str) -> list[Stored]:
        """See `FhirStore.all_of`."""
        ...

    def find(self, resource_type: str, resource_id: str) -> Stored | None:
        """See `FhirStore.find`."""
        ...

    def read(self, resource_type: str, resource_id: str) -> Stored:
        """See `FhirStore.read`."""
        ...

    def create(self, resource_type: str, resource: Json, *, new_id: str | None = None) -> Stored:
        """See `FhirStore.create`."""
        ...

    def update(
        self, resource_type: str, resource_id: str, resource: Json, *, if_match: str | None = None
    ) -> tuple[Stored, bool]:
        """See `FhirStore.update`."""
        ...

    def delete(self, resource_type: str, resource_id: str, *, if_match: str | None = None) -> None:
        """See `FhirStore.delete`."""
        ...

    def atomic(self) -> AbstractContextManager[None]:
        """See `FhirStore.atomic`."""
        ...


class Permitted:
    """A caller's view of the store; what it may not do raises what `may` raises."""

    def __init__(self, store: FhirStore, may: May) -> None:
        self._store = store
        self._may = may

    def all_of(self, resource_type: str) -> list[Stored]:
        """Search: also for what an include brings."""
        self._may(resource_type, "s")
        return self._store.all_of(resource_type)

    def find(self, resource_type: str, resource_id: str) -> Stored | None:
        """Read what a match refers to."""
        self._may(resource_type, "r")
        return self._store.find(resource_type, resource_id)

    def read(self, resource_type: str, resource_id: str) -> Stored:
        """Read."""
        self._may(resource_type, "r")
        return self._store.read(resource_type, resource_id)

    def create(self, resource_type: str, resource: Json, *, new_id: str | None = None) -> Stored:
        """Create."""
        self._may(resource_type, "c")
        return self._store.create(resource_type, resource, new_id=new_id)

    def update(
        self, resource_type: str, resource_id: str, resource: Json, *, if_match: str | None = None
    ) -> tuple[Stored, bool]:
        """Update; under an id that is new that is creating."""
        is_new = self._store.find(resource_type, resource_id) is None
        self._may(resource_type, "c" if is_new else "u")
        return self._store.update(resource_type, resource_id, resource, if_match=if_match)

    def delete(self, resource_type: str, resource_id: str, *, if_match: str | None = None) -> None:
        """Delete."""
        self._may(resource_type, "d")
        self._store.delete(resource_type, resource_id, if_match=if_match)

    def atomic(self) -> AbstractContextManager[None]:
        """All or nothing."""
        return self._store.atomic()
