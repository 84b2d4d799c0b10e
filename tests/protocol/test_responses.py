"""Notification responses are read the same in the short way and in the long one."""

from __future__ import annotations

import json

from fhircast_hub.protocol import responses
from fhircast_hub.protocol.responses import NotificationResponse, parse_any_response, parse_response
from hypothesis import example, given
from hypothesis import strategies as st

spaces = st.text(" \t\n\r\u00a0\v", max_size=2)
ids = st.text('ab-0" \\{}:,\u00e9\x7f\x00', max_size=5)
plain = ["200", "0", "007", "999999999", "9999999999", " 200", "\u0662", "OK", ""]
others = ["-1", "1e2", "20.0", "true", "null", "{}"]
statuses = st.sampled_from([*plain, *others, *(f'"{it}"' for it in plain)])


@st.composite
def frames(draw: st.DrawFn) -> str:
    """What is a response, or nearly."""
    space = [draw(spaces) for _ in range(6)]
    name, status = draw(st.sampled_from(["id", "i\\u0064", "iD"])), draw(statuses)
    escaped = draw(st.sampled_from([json.dumps(draw(ids)), f'"{draw(ids)}"']))
    members = [f'"{name}"{space[0]}:{space[1]}{escaped}', f'"status"{space[2]}:{space[3]}{status}']
    if draw(st.booleans()):
        members.reverse()
    members += draw(st.lists(st.sampled_from(['"status":500', '"id":"x"', '"x":1']), max_size=1))
    return space[4] + "{" + ",".join(members) + "}" + space[5]


@given(frame=frames())
@example('{"id":"e-1","status":"200"}')
@example('\r\n{ "status" : 409,\t"id" : "e-1" }\n')
def test_there_is_one_way_to_read_a_response(frame: str) -> None:
    """2.5: ACK-05, D-04, D-38; however it is spaced and whatever comes first."""
    expected = parse_any_response(frame)
    assert parse_response(frame) == expected
    assert parse_response(frame.encode()) == expected


@given(frame=st.text('{}":, idstatus0123456789\\u', max_size=40))
def test_what_only_looks_like_a_response_is_read_in_the_long_way(frame: str) -> None:
    """GEN-02, D-38."""
    assert parse_response(frame) == parse_any_response(frame)


def test_a_long_response_is_read_like_a_short_one() -> None:
    """D-04."""
    sent = json.dumps({"id": "e-1", "status": "200", "x": "y" * 1000})
    assert parse_response(sent) == NotificationResponse("e-1", 200)


def test_the_usual_responses_take_the_short_way() -> None:
    """2.5: as the standard's example has it, and the other way round."""
    assert responses._ID_FIRST.fullmatch('{"id":"q9v3jubddqt63n1","status":"200"}')
    assert responses._STATUS_FIRST.fullmatch('{ "status": 202, "id": "e" }')
