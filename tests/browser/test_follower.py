"""The browser client's replica of the hub: pure modules, run in a real browser without any hub."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

_FOLLOW = """async messages => {
  const { Follower } = await import('/static/follower.js');
  const follower = new Follower();
  const isRead = message => message['context.type'] !== undefined;
  const take = message => {
    if (message.connected) return follower.connected();
    return isRead(message) ? follower.replace(message) : follower.apply(message);
  };
  const changes = messages.map(take);
  const { kind, applied, repeated, needsRead } = changes.at(-1) ?? {};
  return {
    kind, applied, repeated, needsRead,
    unsure: follower.unsure,
    current: follower.currentAnchor,
    open: [...follower.contexts.keys()],
    version: follower.current?.versionId ?? null,
    content: [...(follower.current?.content.keys() ?? [])],
    selection: follower.current?.selection ?? [],
  };
}"""

_SYNC = """async steps => {
  const { SyncState } = await import('/static/sync.js');
  let now = 0; let timers = [];
  const sync = new SyncState({
    now: () => now,
    set: (run, ms) => { const timer = { at: now + ms, run }; timers.push(timer); return timer; },
    clear: timer => { timers = timers.filter(each => each !== timer); },
  });
  const shown = [];
  for (const [step, value] of steps) {
    if (step === 'fail') sync.fail(value);
    if (step === 'event') sync.followed(value);
    if (step === 'wait') {
      now += value;
      const due = timers.filter(each => each.at <= now);
      timers = timers.filter(each => each.at > now);
      due.forEach(each => each.run());
    }
    shown.push([...sync.failures.keys()].join());
  }
  return shown;
}"""


def event(name: str, report: str, second: int, **more: Any) -> dict[str, Any]:
    """Return a broadcast about a report; `more` are items and versions."""
    resource = {"resourceType": "DiagnosticReport", "id": report}
    items = more.pop("items", [])
    return {
        "id": more.pop("id", f"{name}-{report}-{second}"),
        "timestamp": f"2026-03-02T09:00:{second:02}.000Z",
        "event": {
            "hub.topic": "t",
            "hub.event": f"DiagnosticReport-{name}",
            "context": [{"key": "report", "resource": resource}, *items],
            **{f"context.{key}": value for key, value in more.items()},
        },
    }


def update(report: str, second: int, old: str, new: str) -> dict[str, Any]:
    observation = {"resourceType": "Observation", "id": f"o-{new}"}
    entry = {"request": {"method": "PUT"}, "resource": observation}
    updates = {"key": "updates", "resource": {"resourceType": "Bundle", "entry": [entry]}}
    return event("update", report, second, items=[updates], versionId=new, priorVersionId=old)


def read(report: str = "", version: str = "v1") -> dict[str, Any]:
    """Return the answer to a GET: this report is current, or nothing."""
    items = [{"key": "report", "resource": {"resourceType": "DiagnosticReport", "id": report}}]
    return {
        "context.type": "DiagnosticReport" if report else "",
        "context.versionId": version,
        "context": items if report else [],
    }


def home(second: int) -> dict[str, Any]:
    message = event("home", "", second)
    message["event"] |= {"hub.event": "Home-open", "context": []}
    return message


CONNECTED = {"connected": True}


def follow(blank: Page, *messages: dict[str, Any]) -> dict[str, Any]:
    """Return the last change and the state of a follower that took the messages."""
    result: dict[str, Any] = blank.evaluate(_FOLLOW, list(messages))
    return result


def test_an_open_older_than_the_current_one_is_not_followed(blank: Page) -> None:
    """EVT-10, D-26."""
    seen = follow(blank, event("open", "r2", 5), event("open", "r1", 1))
    assert (seen["current"], seen["applied"]) == ("DiagnosticReport/r2", False)


def test_an_older_reopen_leaves_its_own_moment(blank: Page) -> None:
    """EVT-10, D-26: the close in between meant an earlier opening still."""
    opens = event("open", "r1", 3, versionId="v1"), read("r1"), event("open", "r1", 1, id="again")
    seen = follow(blank, *opens, event("close", "r1", 2))
    assert (seen["current"], seen["unsure"]) == ("DiagnosticReport/r1", True)
    seen = follow(blank, CONNECTED, *opens, CONNECTED, opens[-1], event("close", "r1", 2))
    assert (seen["current"], seen["unsure"]) == ("DiagnosticReport/r1", True)


def test_the_moment_of_a_home_open_outlives_a_resume(blank: Page) -> None:
    """D-21, D-45: what comes late is passed over before and after the break."""
    late = event("open", "r1", 1)
    seen = follow(blank, home(3), read(), late, CONNECTED, late, read(), late)
    assert (seen["current"], seen["applied"], seen["unsure"]) == (None, False, True)


def test_no_open_is_late_once_the_current_context_is_closed(blank: Page) -> None:
    """EVT-10, D-26."""
    first = event("open", "r1", 3), read("r1"), event("close", "r1", 3)
    seen = follow(blank, *first, event("open", "r2", 1))
    assert (seen["current"], seen["unsure"]) == ("DiagnosticReport/r2", False)
    seen = follow(blank, *first, event("open", "r2", 1), event("open", "r3", 2))
    assert seen["current"] == "DiagnosticReport/r3"


def test_an_older_home_open_is_not_followed_and_asked_about(blank: Page) -> None:
    """INF-04, D-21, D-27."""
    seen = follow(blank, event("open", "r1", 3), read("r1"), home(1))
    assert (seen["current"], seen["applied"]) == ("DiagnosticReport/r1", False)
    assert (seen["needsRead"], seen["unsure"]) == (True, True)


def test_the_hub_has_the_last_word_on_a_late_open(blank: Page) -> None:
    """D-27: it may have counted what was passed over here."""
    late = event("open", "r2", 3), read("r2"), event("open", "r1", 1, versionId="v1")
    assert follow(blank, *late)["needsRead"]
    seen = follow(blank, *late, read("r1"))
    assert (seen["current"], seen["unsure"]) == ("DiagnosticReport/r1", False)


def test_a_moment_finer_than_the_clock_of_the_page_is_asked_about(blank: Page) -> None:
    """D-27: within the same millisecond only the hub can tell which came first."""
    finer = event("open", "r2", 3)
    finer["timestamp"] = "2026-03-02T09:00:03.0001Z"
    seen = follow(blank, event("open", "r1", 3), read("r1"), finer)
    assert (seen["current"], seen["needsRead"]) == ("DiagnosticReport/r2", True)


def test_the_first_open_of_a_connection_is_asked_about(blank: Page) -> None:
    """REP-01: it may be the replay of a context that is not current."""
    first = CONNECTED, read(), event("open", "r1", 1)
    assert follow(blank, *first)["needsRead"]
    assert not follow(blank, *first, read("r1"), event("open", "r2", 2))["needsRead"]


def test_a_late_close_names_its_own_context(blank: Page) -> None:
    """D-26, IRA-SUB-06: older than the current open, and yet it closes the report it names."""
    seen = follow(blank, event("open", "r1", 1), event("open", "r2", 5), event("close", "r1", 3))
    assert seen["current"] == "DiagnosticReport/r2"
    assert seen["open"] == ["DiagnosticReport/r2"]


def test_closing_the_current_context_falls_back_to_nothing(blank: Page) -> None:
    """CTX-04: the other report stays open, but nothing is current."""
    seen = follow(blank, event("open", "r1", 1), event("open", "r2", 5), event("close", "r2", 6))
    assert (seen["current"], seen["open"]) == (None, ["DiagnosticReport/r1"])


def test_an_update_in_order_is_applied(blank: Page) -> None:
    """CONT-04, CONT-17."""
    seen = follow(blank, event("open", "r1", 1, versionId="v1"), update("r1", 2, "v1", "v2"))
    assert (seen["version"], seen["content"]) == ("v2", ["Observation/o-v2"])
    assert seen["needsRead"] is False


def test_a_gap_in_the_versions_asks_for_a_read(blank: Page) -> None:
    """CONT-18."""
    seen = follow(blank, event("open", "r1", 1, versionId="v1"), update("r1", 3, "v2", "v3"))
    assert (seen["version"], seen["needsRead"]) == ("v3", True)


def test_an_update_that_the_last_read_held_is_skipped(blank: Page) -> None:
    """Flow I: versionId equal to the one of the GET."""
    resource = {"resourceType": "DiagnosticReport", "id": "r1"}
    answer = {"context.type": "DiagnosticReport", "context.versionId": "v2"}
    # The declared type is narrower than JSON: the ignore below is for that.
    answer |= {"context": [{"key": "report", "resource": resource}]}  # type: ignore[dict-item]
    seen = follow(blank, answer, update("r1", 2, "v1", "v2"))
    assert (seen["applied"], seen["needsRead"], seen["content"]) == (False, False, [])


def test_a_replay_with_an_old_version_asks_for_a_read(blank: Page) -> None:
    """REP-05: the replayed open shows its first version; what came since is read."""
    first = event("open", "r1", 1, versionId="v1")
    seen = follow(blank, first, update("r1", 2, "v1", "v2"), first)
    assert (seen["repeated"], seen["needsRead"], seen["version"]) == (True, True, "v2")


def test_an_empty_read_ends_the_current_context(blank: Page) -> None:
    """CTX-03: whatever this page believed, the hub has nothing open."""
    answer = {"context.type": "", "context.versionId": "v9", "context": []}
    seen = follow(blank, event("open", "r1", 1), answer)
    assert (seen["kind"], seen["current"]) == ("read", None)


def test_a_select_replaces_the_selection(blank: Page) -> None:
    """SEL-02, D-09."""
    first = [{"key": "select", "reference": {"reference": "Observation/o1"}}]
    second = [{"key": "select", "reference": {"reference": "Observation/o2"}}]
    opened = event("open", "r1", 1)
    one, two = event("select", "r1", 2, items=first), event("select", "r1", 3, items=second)
    none = event("select", "r1", 4, items=[{"key": "select", "reference": []}])
    assert follow(blank, opened, one, two)["selection"] == ["Observation/o2"]
    assert follow(blank, opened, one, none)["selection"] == []


REFUSAL = {"name": "RC", "eventId": "e1", "eventName": "DiagnosticReport-open", "anchor": "r2"}


def shown(blank: Page, *steps: tuple[str, Any]) -> list[str]:
    """Return who is flagged after each step."""
    result: list[str] = blank.evaluate(_SYNC, [list(step) for step in steps])
    return result


def opened(event_id: str, **more: Any) -> tuple[str, dict[str, Any]]:
    change = {"kind": "open", "applied": True, "repeated": False, "anchor": "r2"}
    return "event", {**change, "message": {"id": event_id}, **more}


def test_a_resend_takes_the_flag_down_only_if_it_is_not_refused_again(blank: Page) -> None:
    """SYNC-12, SYNC-13: no flicker in between."""
    resend = opened("e1", repeated=True)
    again = shown(blank, ("fail", REFUSAL), resend, ("fail", REFUSAL), ("wait", 5000))
    assert again == ["RC", "RC", "RC", "RC"]
    healed = shown(blank, ("fail", REFUSAL), resend, ("wait", 1000), ("wait", 1000))
    assert healed == ["RC", "RC", "RC", ""]


def test_a_newer_open_takes_the_flag_down(blank: Page) -> None:
    """SYNC-13: everybody followed the newer one."""
    assert shown(blank, ("fail", REFUSAL), opened("e2"), ("wait", 2000))[-1] == ""


def test_an_update_does_not_take_a_refused_open_down(blank: Page) -> None:
    """A measurement says nothing about the app that shows another patient."""
    update_of_it = opened("e2", kind="update")
    assert shown(blank, ("fail", REFUSAL), update_of_it, ("wait", 9000))[-1] == "RC"


def test_a_mute_subscriber_is_given_its_ten_seconds_again(blank: Page) -> None:
    """SYNC-08: it was noticed 10 s late; the flag stays as long after a resend."""
    steps = [opened("e1"), ("wait", 10_000), ("fail", REFUSAL), opened("e1", repeated=True)]
    assert shown(blank, *steps, ("wait", 5000))[-1] == "RC"
    assert shown(blank, *steps, ("wait", 12_000))[-1] == ""
