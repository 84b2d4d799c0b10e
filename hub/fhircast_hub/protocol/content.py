"""Content sharing: what an updates Bundle does to the content of one anchor context (2.10).

Content is a map "Type/id" -> resource. A version of it never changes; the next one shares all but
the parts that an update touches, so an update costs by its own size and not by the content's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec import Raw

from fhircast_hub.protocol.decoding import decode_part
from fhircast_hub.protocol.errors import InvalidRequest
from fhircast_hub.protocol.links import check_links
from fhircast_hub.protocol.notification import ResourceHead, reference_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_PARTS = 64
_SPLIT_ABOVE = 48
"""Resources per part at which the parts are split in four: copying one of them stays cheap."""


class SharedResource(msgspec.Struct, frozen=True, gc=False):
    """One resource of the content.

    Attributes:
        resource: Its JSON as it came.
        full_url: `fullUrl` of the entry that brought it, "" if it had none.
        order: Position in which content is listed: a replaced resource keeps its place.
    """

    resource: bytes
    full_url: str
    order: int

    def __repr__(self) -> str:
        return f"<SharedResource {self.order}>"  # nothing of the resource


class Change(msgspec.Struct, frozen=True, gc=False):
    """What one Bundle entry does: `resource` takes the place of `key`, or b"" removes it."""

    key: str
    resource: bytes
    full_url: str = ""

    def __repr__(self) -> str:
        return f"<Change of {self.key}>"  # nothing of the resource


class Content:
    """The resources shared in one anchor context; a value: `apply` returns the next one."""

    __slots__ = ("_count", "_next_order", "_parts")

    def __init__(
        self,
        parts: tuple[Mapping[str, SharedResource], ...] = ({},) * _PARTS,
        count: int = 0,
        next_order: int = 0,
    ) -> None:
        self._parts = parts
        self._count = count
        self._next_order = next_order

    @classmethod
    def of(cls, resources: Iterable[tuple[str, SharedResource]]) -> Content:
        """Return the content of these resources, each with its key and its place."""
        parts: list[dict[str, SharedResource]] = [{} for _ in range(_PARTS)]
        count, next_order = 0, 0
        for key, shared in resources:
            parts[hash(key) % _PARTS][key] = shared
            count, next_order = count + 1, max(next_order, shared.order + 1)
        content = cls(tuple(parts), count, next_order)
        while count > len(content._parts) * _SPLIT_ABOVE:
            content = content._split()
        return content

    def __len__(self) -> int:
        return self._count

    def __contains__(self, key: str) -> bool:
        return key in self._parts[hash(key) % len(self._parts)]

    def __iter__(self) -> Iterator[tuple[str, SharedResource]]:
        """Yield ("Type/id", resource) in the order in which the resources first came."""
        items = [item for part in self._parts if part for item in part.items()]
        items.sort(key=lambda item: item[1].order)
        return iter(items)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Content):
            return NotImplemented
        mine = [(key, shared.resource, shared.full_url) for key, shared in self]
        return mine == [(key, shared.resource, shared.full_url) for key, shared in other]

    __hash__ = None  # type: ignore[assignment]  # compared by value, never a key

    def apply(self, changes: tuple[Change, ...]) -> Content:
        """Return the content with every change applied; this one stays as it is.

        Removing a resource that is not there changes nothing (D-06).
        """
        parts: list[Mapping[str, SharedResource]] = list(self._parts)
        owned: dict[int, dict[str, SharedResource]] = {}
        count, order = self._count, self._next_order
        for change in changes:
            place = hash(change.key) % len(parts)
            part = owned.get(place)
            if part is None:
                part = owned[place] = parts[place] = dict(parts[place])
            old = part.pop(change.key, None)
            count -= old is not None
            if change.resource:
                at = old.order if old else order
                part[change.key] = SharedResource(change.resource, change.full_url, at)
                order += old is None
                count += 1
        grown = Content(tuple(parts), count, order)
        return grown._split() if count > len(parts) * _SPLIT_ABOVE else grown

    def changed_since(self, before: Content) -> tuple[dict[str, SharedResource], list[str]]:
        """Return what this version has anew or otherwise than an earlier one, and what it lacks.

        Where one comes from the other, that costs as much as what lies between them.
        """
        if len(self._parts) == len(before._parts):
            pairs = [
                it for it in zip(self._parts, before._parts, strict=True) if it[0] is not it[1]
            ]
        else:
            pairs = [(dict(self), dict(before))]
        put = {key: it for new, old in pairs for key, it in new.items() if old.get(key) is not it}
        return put, [key for new, old in pairs for key in old if key not in new]

    def _split(self) -> Content:
        parts: list[dict[str, SharedResource]] = [{} for _ in range(4 * len(self._parts))]
        for part in self._parts:
            for key, shared in part.items():
                parts[hash(key) % len(parts)][key] = shared
        return Content(tuple(parts), self._count, self._next_order)


EMPTY = Content()
"""Nothing shared yet."""


class _Request(msgspec.Struct, frozen=True):
    method: str
    url: str = ""


class _BundleEntry(msgspec.Struct, frozen=True):
    request: _Request
    full_url: str = msgspec.field(name="fullUrl", default="")
    resource: Raw = Raw()
    search: Raw = Raw()
    response: Raw = Raw()


class _Bundle(msgspec.Struct, frozen=True):
    resource_type: str = msgspec.field(name="resourceType")
    type: str
    entry: list[_BundleEntry] = []
    link: Raw = Raw()


class _BundleEntryHead(msgspec.Struct, frozen=True):
    resource: ResourceHead | None = None


class _BundleHeads(msgspec.Struct, frozen=True):
    entry: list[_BundleEntryHead] = []


_bundle_in = msgspec.json.Decoder(_Bundle).decode
_heads_in = msgspec.json.Decoder(_BundleHeads).decode


class UpdateRules(msgspec.Struct, frozen=True, gc=False):
    """What a site decides about updates.

    Attributes:
        ira: The rules of IHE IRA bind.
        refuses_post: A POST is refused, as the profile has it, and not read as PUT (D-05).
    """

    ira: bool = False
    refuses_post: bool = False


def parse_updates(
    bundle: bytes, *, opened: Mapping[str, bytes], rules: UpdateRules
) -> tuple[Change, ...]:
    """Return the changes that an updates Bundle asks for, in its order, or raise.

    Args:
        bundle: The Bundle's JSON.
        opened: Resources of the anchor's open event by "Type/id", b"" for one that it only refers
            to: they may change, but neither go (CONT-13) nor point to another patient, study or
            accession number (IRA-HUB-11).
        rules: What the site decided.

    Raises:
        InvalidRequest: The Bundle or one of its entries is not as the profile demands.
        AnchorLinkBroken: An entry would detach the report from its patient, study or accession.

    Spec: 2.10, 3.6.3; CONT-05, CONT-09 … CONT-13, D-05, D-06.
    """
    parsed = _parse_bundle(bundle)
    if parsed.resource_type != "Bundle":
        raise InvalidRequest("updates.resource", "not a Bundle", rule="CONT-08")
    if parsed.type != "transaction":
        raise InvalidRequest("updates.type", "must be transaction", rule="CONT-09")
    if parsed.link:
        raise InvalidRequest("updates.link", "not allowed", rule="CONT-09")
    changes: dict[str, Change] = {}
    heads = _heads(bundle, parsed)
    for position, entry in enumerate(parsed.entry):
        change = _change(entry, position, opened, rules, heads[position])
        if change.key in changes:
            raise InvalidRequest(_at(position), "its resource occurs twice", rule="CONT-09")
        changes[change.key] = change
    return tuple(changes.values())


def _parse_bundle(bundle: bytes) -> _Bundle:
    try:
        return _bundle_in(bundle)
    except (ValueError, RecursionError):
        return decode_part(bundle, _Bundle, "updates.resource", "CONT-09")  # says what is wrong


def _heads(bundle: bytes, parsed: _Bundle) -> list[ResourceHead | None]:
    """Return what to look at in each resource, None where that is to be found entry by entry."""
    try:
        return [it.resource for it in _heads_in(bundle).entry]
    except ValueError:
        return [None] * len(parsed.entry)


def _at(position: int) -> str:
    return f"updates.entry[{position}]"


def _change(
    entry: _BundleEntry,
    position: int,
    opened: Mapping[str, bytes],
    rules: UpdateRules,
    head: ResourceHead | None,
) -> Change:
    if entry.search or entry.response:
        raise InvalidRequest(_at(position), "search and response are not allowed", rule="CONT-10")
    method, url = entry.request.method, entry.request.url
    if method == "DELETE":
        return _removal(entry, _at(position), opened)
    if method != "PUT" and (method != "POST" or rules.refuses_post):
        where = f"{_at(position)}.request.method"
        raise InvalidRequest(where, "must be PUT or DELETE", rule="CONT-12")
    if head is None:
        head = _head_of(entry, f"{_at(position)}.resource")
    if not head.resource_type or not head.id:
        where = f"{_at(position)}.resource"
        raise InvalidRequest(where, "has no resourceType or no id", rule="CONT-10")
    key = f"{head.resource_type}/{head.id}"
    if method == "PUT" and url and url != key:
        _require_same_target(url, key, f"{_at(position)}.request.url")
    if key in opened:
        before, where = opened[key], f"{_at(position)}.resource"
        if before:
            check_links(head.resource_type, before, entry.resource, field=where, ira=rules.ira)
    return Change(key, bytes(entry.resource), entry.full_url)


def _head_of(entry: _BundleEntry, field: str) -> ResourceHead:
    if not entry.resource:
        raise InvalidRequest(field, "missing", rule="CONT-10")
    return decode_part(entry.resource, ResourceHead, field, "CONT-10")


def _require_same_target(url: str, key: str, field: str) -> None:
    if reference_key(url) not in {"", key}:
        raise InvalidRequest(field, "names another resource than the entry holds", rule="CONT-10")


def _removal(entry: _BundleEntry, field: str, opened: Mapping[str, bytes]) -> Change:
    if entry.resource:
        raise InvalidRequest(f"{field}.resource", "not allowed in a DELETE", rule="CONT-11")
    key = reference_key(entry.full_url) or reference_key(entry.request.url)
    if entry.full_url:
        # A receiver that reads the other field must not remove another resource.
        _require_same_target(entry.request.url, key, f"{field}.request.url")
    if not key:
        raise InvalidRequest(
            field, "a DELETE names its resource in fullUrl or request.url", rule="CONT-11"
        )
    if key in opened:
        raise InvalidRequest(
            field, "a resource of the open event cannot be removed", rule="CONT-13"
        )
    return Change(key, b"")
