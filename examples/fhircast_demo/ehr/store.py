"""The EHR's resources: plain dicts, in memory, versioned, bounded.

Single-threaded by design: no method awaits, so a request sees and leaves a consistent store.
"""

from __future__ import annotations

import copy
import re
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from fhircast_demo.ehr.errors import FhirError, Json, invalid, not_found
from fhircast_demo.ehr.r4_types import R4_TYPES
from fhircast_demo.ehr.workflow import complete_order

_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_TICK = timedelta(milliseconds=1)
Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Stored:
    """One version of a resource. `resource` carries id and meta; do not change it."""

    resource: Json
    version: int
    last_updated: datetime

    @property
    def etag(self) -> str:
        """The weak ETag of this version."""
        return f'W/"{self.version}"'

    @property
    def key(self) -> Key:
        """Type and id."""
        return self.resource["resourceType"], self.resource["id"]


Rule = Callable[["FhirStore", Stored], None]


class FhirStore:
    """Create, read, update, delete and enumerate FHIR resources.

    Args:
        max_resources: More than this many are refused with 507.
        rules: Called after every write with the new version; may write further resources. What a
            rule does belongs to the same step: if it raises, the write is undone as well.
        now: Where the time comes from (aware UTC).
    """

    def __init__(
        self,
        *,
        max_resources: int = 5000,
        rules: tuple[Rule, ...] = (complete_order,),
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.max_resources = max_resources
        self._rules = rules
        self._now = now
        self._items: dict[Key, Stored] = {}
        self._gone: OrderedDict[Key, int] = OrderedDict()
        self._last = datetime.min.replace(tzinfo=UTC)

    def __len__(self) -> int:
        return len(self._items)

    def all_of(self, resource_type: str) -> list[Stored]:
        """Return every resource of the type, oldest id first."""
        check_type(resource_type)
        return [item for (kind, _), item in self._items.items() if kind == resource_type]

    def find(self, resource_type: str, resource_id: str) -> Stored | None:
        """Return the current version, or None."""
        return self._items.get((resource_type, resource_id))

    def read(self, resource_type: str, resource_id: str) -> Stored:
        """Return the current version.

        Raises:
            FhirError: 404 unknown type or id, 410 deleted.
        """
        check_type(resource_type)
        key = (resource_type, resource_id)
        if key in self._gone:
            raise FhirError(410, "deleted", f"this {resource_type} was deleted")
        if key not in self._items:
            raise not_found(f"no {resource_type} with this id")
        return self._items[key]

    def create(self, resource_type: str, resource: Json, *, new_id: str | None = None) -> Stored:
        """Keep a new resource under an id of our own; its own id is ignored (R4 3.1.0.8)."""
        check_type(resource_type)
        _check_body(resource_type, resource)
        resource_id = new_id or str(uuid.uuid4())
        with self.atomic():
            return self._write((resource_type, resource_id), resource)

    def update(
        self, resource_type: str, resource_id: str, resource: Json, *, if_match: str | None = None
    ) -> tuple[Stored, bool]:
        """Keep a new version under this id; return it and whether it was created.

        Raises:
            FhirError: 400 wrong type or id, 412 `if_match` is not the current version, 507 full.
        """
        check_type(resource_type)
        _check_body(resource_type, resource)
        if not _ID.fullmatch(resource_id):
            raise invalid("an id is 1 to 64 of A-Z, a-z, 0-9, '-' and '.'")
        if resource.get("id") != resource_id:
            raise invalid("the id in the resource must be present and equal to the id in the URL")
        key = (resource_type, resource_id)
        self._check_version(key, if_match)
        created = key not in self._items
        with self.atomic():
            return self._write(key, resource), created

    def delete(self, resource_type: str, resource_id: str, *, if_match: str | None = None) -> None:
        """Remove a resource; removing what is not there is fine (R4 3.1.0.7)."""
        check_type(resource_type)
        key = (resource_type, resource_id)
        self._check_version(key, if_match)
        item = self._items.pop(key, None)
        if item is not None:
            self._gone[key] = item.version
            while len(self._gone) > self.max_resources:
                self._gone.popitem(last=False)

    @contextmanager
    def atomic(self) -> Iterator[None]:
        """Undo every write of the block when it raises."""
        items, gone = dict(self._items), self._gone.copy()
        try:
            yield
        except BaseException:
            self._items, self._gone = items, gone
            raise

    def _write(self, key: Key, resource: Json) -> Stored:
        previous = self._items.get(key)
        if previous is None and len(self._items) >= self.max_resources:
            raise FhirError(507, "too-costly", f"the store holds {self.max_resources} resources")
        version = (previous.version if previous else self._gone.pop(key, 0)) + 1
        updated = self._tick()
        kept = copy.deepcopy(resource)
        kept["id"] = key[1]
        kept["meta"] = _meta(kept.get("meta"), version, updated)
        item = self._items[key] = Stored(kept, version, updated)
        for rule in self._rules:
            rule(self, item)
        return self._items[key]

    def _tick(self) -> datetime:
        """Return the time of a write: whole milliseconds and never the same twice.

        So a poller that asks for ``_lastUpdated=gt<newest seen>`` misses nothing.
        """
        now = self._now()
        now = now.replace(microsecond=now.microsecond // 1000 * 1000)
        self._last = max(now, self._last + _TICK)
        return self._last

    def _check_version(self, key: Key, if_match: str | None) -> None:
        if if_match is None:
            return
        item = self._items.get(key)
        wanted = {tag.strip().removeprefix("W/").strip('"') for tag in if_match.split(",")}
        if item is None or ("*" not in wanted and str(item.version) not in wanted):
            raise FhirError(412, "conflict", "If-Match names a version that is not the current one")


def instant(value: datetime) -> str:
    """Write a time as a FHIR instant with milliseconds."""
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def check_type(resource_type: str) -> None:
    """Raise 404 unless R4 knows the type."""
    if resource_type not in R4_TYPES:
        raise not_found("R4 has no such resource type")


def _check_body(resource_type: str, resource: Json) -> None:
    if resource.get("resourceType") != resource_type:
        raise invalid("resourceType must equal the type in the URL")
    if not isinstance(resource.get("meta", {}), dict):
        raise invalid("meta must be an object")


def _meta(meta: Json | None, version: int, updated: datetime) -> Json:
    return {**(meta or {}), "versionId": str(version), "lastUpdated": instant(updated)}
