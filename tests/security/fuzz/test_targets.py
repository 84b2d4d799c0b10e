"""Every parser reads or refuses whatever comes; `make fuzz` does the same for longer."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from security.fuzz.corpus import seeds
from security.fuzz.mutation import MAX_BYTES, mutated
from security.fuzz.targets import TARGETS

A_FEW = settings(max_examples=60, derandomize=True, deadline=None, database=None)


@pytest.mark.parametrize("name", TARGETS)
def test_something_of_the_corpus_is_read(name: str) -> None:
    """A target that refuses everything would find nothing behind its first check."""
    target = TARGETS[name]
    corpus = [it for kind in target.seeds for it in seeds(kind)]
    read = [target.check(it) for it in corpus]
    # The key of this one is made anew each time, so that no token in a corpus fits it.
    assert any(read) or name == "authorization-es256"


@pytest.mark.parametrize("name", TARGETS)
@given(random=st.randoms(use_true_random=True), data=st.binary(max_size=60))
@example(random=Random(0), data=b"")
@A_FEW
def test_bytes_are_read_or_refused_in_the_way_that_is_promised(
    name: str, random: Random, data: bytes
) -> None:
    """GEN-01, GEN-02, SUB-13, EVT-03: no other error, and what can be written reads the same."""
    target = TARGETS[name]
    target.check(data)
    corpus = [it for kind in target.seeds for it in seeds(kind)]
    for _ in range(5):
        target.check(mutated(corpus, random))


def test_a_seed_makes_the_same_inputs_again() -> None:
    """A finding can be looked for again."""
    first, again = ([mutated(seeds("event"), Random(it)) for it in range(50)] for _ in range(2))
    assert first == again
    assert max(map(len, first)) <= MAX_BYTES


FOUND = [
    ("client-redirect", b"https://app.example/back?state=k\xc3\xa9pt&code=abc"),
    ("client-frame", b'{"hub.mode":"subscribe","hub.lease_seconds":' + b"9" * 400 + b"}"),
    ("client-frame", b'{"event":{"context":[]},"x":1e-99999999999999999999}'),
    ("client-json", b"[1e99999999999999999999]"),
    ("client-refusal", b"nan\nbusy\n"),
    ("settings", b"\x00MAX_TOPICS=" + b"9" * 400),
    ("settings", b"\x00PUBLIC_URL=http://["),
]
"""What was found once, by target."""


@pytest.mark.parametrize(("name", "data"), FOUND)
def test_what_was_found_once_is_not_found_again(name: str, data: bytes) -> None:
    """SMART-05, CONF-01, GEN-02: none of these may end in another error."""
    TARGETS[name].check(data)
