"""The browser's replica against the hub's rules: whatever comes late, it shows the same or asks."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from builders import (
    TOPIC,
    after,
    case,
    close_event,
    event,
    observation,
    open_case,
    put,
    update_event,
)
from fhircast_demo import app
from fhircast_hub.protocol.errors import FhircastError
from fhircast_hub.protocol.views import encode_current_context
from fhircast_subscribers.follower import Follower
from subscribers.memory_hub import Joined, MemoryHub

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Route

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

STATIC = Path(app.__file__).parent / "pages" / "static"
SESSIONS = 600
STEPS = 16

_PLAY = """async sessions => {
  const { Follower } = await import('/static/follower.js');
  return sessions.map(({ messages, answer }) => {
    const follower = new Follower();
    for (const message of messages) {
      if (message.connected) follower.connected();
      else if (message['context.type'] !== undefined) follower.replace(message);
      else follower.apply(message);
    }
    const asked = follower.unsure || (follower.current?.unsure ?? false);
    if (asked) follower.replace(answer);
    const { current, currentAnchor } = follower;
    return {
      asked,
      shown: currentAnchor ?? '',
      version: current?.versionId ?? '',
      content: [...(current?.content.keys() ?? [])].sort(),
    };
  });
}"""


class Page(Joined):
    """What a page reads, in order; the library's own follower comes along."""

    def __init__(self, hub: MemoryHub) -> None:
        self.messages: list[dict[str, Any]] = []
        super().__init__(hub, Follower(TOPIC), "page")

    def connect(self) -> None:
        super().connect()
        self.messages.append({"connected": True})

    def receive(self, *, status: int = 200) -> None:
        read = [json.loads(it) for it in self.frames]
        self.messages += [it for it in read if "event" in it]
        super().receive(status=status)

    def read(self) -> None:
        self.messages.append(self.answer_to_get())
        super().read()

    def answer_to_get(self) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(
            encode_current_context(self.hub.session, lambda _name: True)
        )
        return answer


def step(hub: MemoryHub, page: Page, random: Random, number: int) -> None:
    """Do one thing: the hub's turn, the network's or the page's."""
    what = random.choice(["open"] * 5 + ["close"] * 3 + ["home", "update", "lose"] + ["read"] * 6)
    report, at = random.randint(1, 3), after(number - random.choice([0, 0, 0, 2, 4]) - 100)
    if what == "read":
        if random.random() < 0.7:
            page.receive()
        page.read()
    elif what == "lose":
        page.lose()
        page.connect()
    elif what == "open":
        hub.publish(open_case(report, at=at))
    elif what == "close":
        hub.publish(close_event(case(report)[0], at=at))
    elif what == "home":
        hub.publish(event("Home-open", at=at))
    elif f"DiagnosticReport/dr-{report}" in hub.session.contexts:
        version = hub.version(f"DiagnosticReport/dr-{report}")
        shared = put(observation(f"ob-{number}"))
        hub.publish(update_event(case(report)[0], version, [shared], at=at))


def session(seed: int) -> tuple[Page, MemoryHub]:
    hub, random = MemoryHub(), Random(seed)
    joins_at = random.choice([0, 0, 4, 8])
    page = Page(hub) if not joins_at else None
    for number in range(STEPS):
        if page is None and number >= joins_at:
            page = Page(hub)
        if page is not None and page not in hub.joined:
            hub.joined.append(page)
        try:
            step(hub, page or Page(hub), random, number)
        except FhircastError:
            continue  # refused; nothing happened
    assert page is not None
    page.receive()
    return page, hub


@pytest.fixture(scope="module")
def sessions() -> list[tuple[Page, MemoryHub]]:
    return [session(seed) for seed in range(SESSIONS)]


def test_a_page_shows_what_the_hub_has_or_asks(
    browser: Browser, sessions: list[tuple[Page, MemoryHub]]
) -> None:
    """EVT-10, D-21, D-26, D-27, D-45, REP-01, CONT-18: without asking in most cases."""

    def serve(route: Route) -> None:
        name = route.request.url.rsplit("/", 1)[-1]
        if name == "blank":
            route.fulfill(body="<!doctype html>", content_type="text/html")
        else:
            route.fulfill(path=STATIC / name, content_type="text/javascript")

    with browser.new_context() as context:
        context.route("**/*", serve)
        page = context.new_page()
        page.goto("http://pages.example/blank")
        played = [{"messages": it.messages, "answer": it.answer_to_get()} for it, _hub in sessions]
        shown = page.evaluate(_PLAY, played)
    for seed, (seen, (_page, hub)) in enumerate(zip(shown, sessions, strict=True)):
        current = hub.session.current_context
        expected = {
            "shown": hub.session.current,
            "version": current.version_id if current else "",
            "content": sorted(key for key, _it in current.content) if current else [],
        }
        assert {key: seen[key] for key in expected} == expected, (seed, seen["asked"])
    assert sum(not it["asked"] for it in shown) > SESSIONS / 2, "it knows by itself in most cases"
