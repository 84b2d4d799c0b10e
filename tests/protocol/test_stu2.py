from __future__ import annotations

from builders import new_session, open_case, session_after, value
from fhircast_hub.protocol.stu2 import as_stu2
from fhircast_hub.protocol.views import encode_current_context


def test_the_current_context_is_an_array_of_one() -> None:
    """D-47: type, version and items with the content, in the names of STU2."""
    view = encode_current_context(session_after(open_case()), lambda _: True)
    [shown] = value(as_stu2(view))
    assert shown == {
        "contextType": "DiagnosticReport",
        "context.versionId": "v1",
        "context": value(view)["context"],
    }
    assert shown["context"][-1]["key"] == "content"


def test_without_a_current_context_the_array_is_empty() -> None:
    """D-47: also for a caller that may not read the open."""
    assert as_stu2(encode_current_context(new_session(), lambda _: True)) == b"[]"
    hidden = encode_current_context(session_after(open_case()), lambda _: False)
    assert as_stu2(hidden) == b"[]"
