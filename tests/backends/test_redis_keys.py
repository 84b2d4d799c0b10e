"""Where a cluster keeps what a script touches: a script may touch one slot only."""

from __future__ import annotations

from collections import Counter

from fhircast_hub.backends.redis import keys


def test_what_is_of_one_bucket_is_in_one_slot() -> None:
    """Guarantee 1: a session, its subscriptions, its channel and the lists of them all."""
    for number in range(100):
        it = keys.of_topic(f"topic {number}")
        assert len({keys.slot_of(key) for key in it[1:]}) == 1
        assert keys.of_tag(it.tag) == it


def test_buckets_are_spread_over_the_masters() -> None:
    """Guarantee 4: however many there are, none has much more than its share."""
    for masters in (3, 4, 8, 16):
        shares = Counter(keys.slot_of(it.topics) * masters // keys.SLOTS for it in keys.ALL_BUCKETS)
        assert max(shares.values()) - min(shares.values()) <= 1
    assert len({keys.of_topic(f"topic {number}").topics for number in range(500)}) == keys.BUCKETS


def test_the_slot_is_that_of_the_standard_example() -> None:
    """SUB-13: as the specification of the cluster computes it, with and without a tag."""
    assert keys.slot_of("123456789") == 0x31C3
    assert keys.slot_of("{user1000}.following") == keys.slot_of("user1000")
    assert keys.slot_of("foo{}{bar}") != keys.slot_of("bar")
