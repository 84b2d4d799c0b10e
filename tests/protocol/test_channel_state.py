from __future__ import annotations

from itertools import product

import pytest
from fhircast_hub.protocol.channel_state import CloseReason, IllegalStep, State, Step, next_state

LEGAL = {
    (State.WAITING, Step.CONNECTED): State.REPLAYING,
    (State.REPLAYING, Step.CONNECTED): State.REPLAYING,
    (State.LIVE, Step.CONNECTED): State.REPLAYING,
    (State.HELD, Step.CONNECTED): State.REPLAYING,
    (State.REPLAYING, Step.REPLAYED): State.LIVE,
    (State.REPLAYING, Step.DROPPED): State.HELD,
    (State.LIVE, Step.DROPPED): State.HELD,
    (State.WAITING, Step.FINISHED): State.ENDED,
    (State.REPLAYING, Step.FINISHED): State.ENDED,
    (State.LIVE, Step.FINISHED): State.ENDED,
    (State.HELD, Step.FINISHED): State.ENDED,
}


@pytest.mark.parametrize(("state", "step"), list(product(State, Step)))
def test_a_channel_takes_exactly_the_steps_of_the_table(state: State, step: Step) -> None:
    """UNS-04: nothing leads out of ENDED; D-44, D-45: a lost or live channel is joined again."""
    if (state, step) in LEGAL:
        assert next_state(state, step) is LEGAL[state, step]
        return
    with pytest.raises(IllegalStep, match=f"{step.name} from {state.name}") as caught:
        next_state(state, step)
    assert (caught.value.state, caught.value.step) == (state, step)


@pytest.mark.parametrize(
    ("reason", "code", "is_denial"),
    [
        (CloseReason.UNSUBSCRIBED, 1000, True),
        (CloseReason.LEASE_ENDED, 1000, True),
        (CloseReason.NOT_KNOWN, 1008, True),
        (CloseReason.TOKEN_ENDED, 1008, True),
        (CloseReason.UNRESPONSIVE, 1008, True),
        (CloseReason.REPLACED, 1008, False),
        (CloseReason.SHUTDOWN, 1001, True),
        (CloseReason.RECONNECT, 1001, False),
    ],
)
def test_close_codes_and_denials(reason: CloseReason, code: int, is_denial: bool) -> None:
    """2.4, 2.5: CONF-05, D-22, D-24, D-43, D-44."""
    assert (reason.code, reason.is_denial) == (code, is_denial)


def test_every_reason_is_a_word_of_its_own() -> None:
    """2.4: hub.reason tells the reasons apart; D-44 says "replaced"."""
    assert len({reason.text for reason in CloseReason}) == len(CloseReason)
    assert CloseReason.REPLACED.text == "replaced"
    assert CloseReason.UNSUBSCRIBED.text == "unsubscribed"
