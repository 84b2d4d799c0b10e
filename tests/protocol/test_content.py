from __future__ import annotations

from typing import Any

import msgspec
import pytest
from builders import (
    OBSERVATION,
    PATIENT,
    REPORT,
    STUDY,
    Json,
    bundle,
    delete,
    observation,
    put,
    target,
)
from fhircast_hub.protocol.content import Change, Content, UpdateRules, parse_updates
from fhircast_hub.protocol.errors import AnchorLinkBroken, InvalidRequest

OPENED = {target(it): msgspec.json.encode(it) for it in (REPORT, PATIENT, STUDY)}


def changes(*entries: Json, **fields: Any) -> tuple[Change, ...]:
    return parse_updates(
        msgspec.json.encode(bundle(*entries, **fields)), opened=OPENED, rules=UpdateRules()
    )


def keys(content: Content) -> list[str]:
    return [key for key, _ in content]


def without(entry: Json, *fields: str) -> Json:
    return {key: it for key, it in entry.items() if key not in fields}


def test_a_put_creates_and_a_second_one_replaces_whole() -> None:
    """2.10, 3.6.3: replaced, not merged (CONT-10)."""
    first = Content().apply(changes(put({**OBSERVATION, "note": [{"text": "soft"}]})))
    second = first.apply(changes(put(OBSERVATION)))
    [(key, shared)] = second
    assert (key, msgspec.json.decode(shared.resource)) == ("Observation/ob-1", OBSERVATION)
    assert len(second) == 1


def test_a_delete_removes() -> None:
    """3.6.3: CONT-11."""
    content = Content().apply(changes(put(OBSERVATION), put(observation("ob-2"))))
    after = content.apply(changes(delete("Observation/ob-1")))
    assert (keys(after), len(after)) == (["Observation/ob-2"], 1)
    assert "Observation/ob-1" not in after
    assert "Observation/ob-1" in content


def test_a_delete_of_something_unknown_is_no_error() -> None:
    """D-06: FHIR delete is idempotent."""
    assert Content().apply(changes(delete("Observation/none"))) == Content()


def test_a_replaced_resource_keeps_its_place() -> None:
    """2.9: the content Bundle lists resources in the order in which they first came."""
    content = Content().apply(changes(*(put(observation(f"ob-{it}")) for it in range(9))))
    after = content.apply(changes(put(observation("ob-0", 1.5))))
    assert keys(after) == keys(content) == [f"Observation/ob-{it}" for it in range(9)]


def test_content_equals_by_value_only() -> None:
    """Contents are values: two with the same resources are one."""
    assert Content().apply(changes(put(OBSERVATION))) == Content().apply(changes(put(OBSERVATION)))
    assert Content().apply(changes(put(OBSERVATION))) != Content()
    assert Content() != ()


def test_much_content_stays_in_order() -> None:
    """2.10: a bigger content than one sheet of parts holds, in its order."""
    content = Content()
    for number in range(3_200):
        content = content.apply((Change(f"Observation/{number}", b"{}"),))
    assert keys(content) == [f"Observation/{number}" for number in range(3_200)]
    assert len(content) == 3_200


def test_numbers_keep_their_digits() -> None:
    """2.10: the hub never rewrites a resource (CONT-22); 8.20 stays 8.20."""
    raw = msgspec.json.encode(bundle(put(OBSERVATION))).replace(b"8.2,", b"8.20,")
    [change] = parse_updates(raw, opened=OPENED, rules=UpdateRules())
    assert b"8.20," in change.resource


def test_the_full_url_is_kept() -> None:
    """3.6.3: fullUrl 0..1 in a PUT (CONT-10)."""
    [with_url] = changes({**put(OBSERVATION), "fullUrl": "urn:uuid:1"})
    [bare] = changes(without(put(OBSERVATION), "fullUrl"))
    assert (with_url.full_url, bare.full_url) == ("urn:uuid:1", "")


@pytest.mark.parametrize(
    "entry",
    [
        {"request": {"method": "PUT"}, "resource": OBSERVATION},
        {
            "request": {"method": "PUT", "url": "https://x.example/Observation/ob-1"},
            "resource": OBSERVATION,
        },
        {"request": {"method": "POST", "url": "Observation"}, "resource": OBSERVATION},
    ],
)
def test_a_resource_is_known_by_its_type_and_id(entry: Json) -> None:
    """D-05, D-06: POST with an id counts as PUT; the page's examples have no url."""
    assert [change.key for change in changes(entry)] == ["Observation/ob-1"]


@pytest.mark.parametrize(
    "entry",
    [
        {"request": {"method": "DELETE", "url": "Observation/ob-1"}},
        {"request": {"method": "DELETE"}, "fullUrl": "https://x.example/Observation/ob-1"},
        {"request": {"method": "DELETE", "url": "Observation/ob-1"}, "fullUrl": "urn:uuid:1"},
    ],
)
def test_a_delete_is_known_by_full_url_or_url(entry: Json) -> None:
    """D-06: fullUrl, else url."""
    assert changes(entry) == (Change("Observation/ob-1", b""),)


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({"type": "batch"}, "CONT-09"),
        ({"link": [{"relation": "self"}]}, "CONT-09"),
        ({"resourceType": "Parameters"}, "CONT-08"),
        ({"entry": {}}, "CONT-09"),
        ({"type": None}, "CONT-09"),
    ],
)
def test_only_a_transaction_bundle_is_taken(fields: Json, rule: str) -> None:
    """2.10, ContentUpdateBundle: CONT-08, CONT-09."""
    with pytest.raises(InvalidRequest, match="updates") as caught:
        changes(**fields)
    assert caught.value.rule == rule


@pytest.mark.parametrize(
    "twice",
    [
        [put(OBSERVATION), put(OBSERVATION)],
        [put(OBSERVATION), delete("Observation/ob-1")],
        [delete("Observation/ob-1"), delete("Observation/ob-1")],
    ],
)
def test_no_resource_occurs_twice(twice: list[Json]) -> None:
    """2.10: CONT-09."""
    with pytest.raises(InvalidRequest, match=r"entry\[1\].*twice"):
        changes(*twice)


@pytest.mark.parametrize(
    ("entry", "rule"),
    [
        ({"request": {"method": "PUT", "url": "Observation/ob-1"}}, "CONT-10"),
        ({"request": {"method": "PUT"}, "resource": without(OBSERVATION, "id")}, "CONT-10"),
        (
            {"request": {"method": "PUT"}, "resource": without(OBSERVATION, "resourceType")},
            "CONT-10",
        ),
        (
            {"request": {"method": "PUT"}, "resource": {**OBSERVATION, "resourceType": ""}},
            "CONT-10",
        ),
        ({"request": {"method": "PUT"}, "resource": "Observation/ob-1"}, "CONT-10"),
        ({**put(OBSERVATION), "search": {"mode": "match"}}, "CONT-10"),
        ({**put(OBSERVATION), "response": {"status": "200"}}, "CONT-10"),
        (
            {"request": {"method": "PUT", "url": "Observation/ob-2"}, "resource": OBSERVATION},
            "CONT-10",
        ),
        ({"request": {"method": "POST"}, "resource": without(OBSERVATION, "id")}, "CONT-10"),
        ({"request": {"method": "GET", "url": "Observation/ob-1"}}, "CONT-12"),
        ({"request": {"method": "PATCH"}, "resource": OBSERVATION}, "CONT-12"),
        ({"request": {"method": "put"}, "resource": OBSERVATION}, "CONT-12"),
        ({"request": {"method": "DELETE"}}, "CONT-11"),
        ({"request": {"method": "DELETE", "url": "Observation?code=1"}}, "CONT-11"),
        ({**delete("Observation/ob-1"), "resource": OBSERVATION}, "CONT-11"),
        (
            {
                "request": {"method": "DELETE", "url": "Patient/pt-1"},
                "fullUrl": "Observation/ob-1",
            },
            "CONT-10",
        ),
        ({"resource": OBSERVATION}, "CONT-09"),
    ],
)
def test_a_faulty_entry_refuses_the_whole_bundle(entry: Json, rule: str) -> None:
    """2.10, ContentUpdateBundle: CONT-05, CONT-09 … CONT-12, D-05."""
    with pytest.raises(InvalidRequest) as caught:
        changes(put(observation("ob-9")), entry)
    assert caught.value.rule == rule


@pytest.mark.parametrize("resource", [REPORT, PATIENT, STUDY])
def test_a_resource_of_the_open_event_is_never_removed(resource: Json) -> None:
    """2.10: CONT-13, IRA-HUB-11."""
    with pytest.raises(InvalidRequest, match="cannot be removed"):
        changes(delete(f"https://x.example/fhir/{target(resource)}"))


def test_a_resource_of_the_open_event_may_change_but_for_its_links() -> None:
    """2.10: CONT-14, IRA-HUB-11."""
    [change] = changes(put({**REPORT, "status": "final"}))
    assert change.key == "DiagnosticReport/dr-1"
    with pytest.raises(AnchorLinkBroken, match=r"updates\.entry\[0\]\.resource\.subject"):
        changes(put({**REPORT, "subject": {"reference": "Patient/pt-2"}}))


def test_a_large_update_brings_every_resource() -> None:
    """2.10: CONT-05; more resources than the content has parts, in one step."""
    update = changes(*(put(observation(f"ob-{it}")) for it in range(200)))
    content = Content().apply(update)
    assert len(content) == 200
    assert [key for key, _shared in content] == [it.key for it in update]
    assert len(Content()) == 0


def shared(*numbers: int) -> tuple[Change, ...]:
    return tuple(Change(f"Observation/{it}", b"{}") for it in numbers)


@pytest.mark.parametrize("count", [0, 10, 5000])
def test_content_is_made_again_from_its_resources(count: int) -> None:
    """CTX-07: with the places that they had, and however many they are."""
    content = Content().apply(shared(*range(count)))
    again = Content.of(reversed(list(content)))
    assert again == content
    assert len(again) == count
    assert keys(again.apply(shared(count)))[-1] == f"Observation/{count}"


@pytest.mark.parametrize("count", [10, 3060, 3072])
def test_what_lies_between_makes_the_one_content_the_other(count: int) -> None:
    """2.10: what is kept elsewhere is brought up to date by what changed, and no more is sent."""
    before = Content().apply(shared(*range(count)))
    later = before.apply((Change("Observation/1", b""), *shared(0, count, count + 1)))
    put, gone = later.changed_since(before)
    assert gone == ["Observation/1"]
    assert sorted(put) == sorted(f"Observation/{it}" for it in (0, count, count + 1))
    kept = {key: it for key, it in before if key not in gone}
    assert Content.of({**kept, **put}.items()) == later
