"""Starting a session and handing it on."""

from __future__ import annotations

import pytest
from fhircast_subscribers import Launch, Viewer, Worklist, connect, new_topic, read_launch
from subscribers.clients import FAST, reading_case

HUB = "https://hub.example.org/fhircast"


def test_topics_are_unique() -> None:
    """IRA-ID-03: of every session that an application starts."""
    assert len({new_topic() for _ in range(1_000)}) == 1_000


@pytest.mark.parametrize("application", ["https://v.example.org/", "https://v.example.org/?x=1"])
def test_launch_url_carries_both_values(application: str) -> None:
    """IRA-ID-03, IRA-SUB-02: handed on and read again."""
    launch = Launch(HUB, "a topic&more")
    url = launch.url(application)
    assert url.startswith(application)
    assert read_launch(url) == launch
    assert read_launch(launch.parameters()) == launch


@pytest.mark.parametrize("values", [{}, {"hub.url": HUB}, {"hub.url": HUB, "hub.topic": ""}])
def test_launch_without_a_session_is_none(values: dict[str, str]) -> None:
    """IRA-SUB-02."""
    with pytest.raises(ValueError, match="IRA-SUB-02"):
        read_launch(values)


async def test_started_session_is_joined_by_whom_it_launches(hub_url: str) -> None:
    """IRA-ID-03, IRA-SUB-02: own topic, handed over, and the launched one is in sync."""
    async with connect(hub_url, new_topic(), name="ID", settings=FAST) as session:
        viewer = Viewer(session)
        await viewer.open_report(reading_case())
        launch = read_launch(viewer.launch.url("https://dictation.example.org/"))
        async with connect(launch.hub_url, launch.topic, name="WL", settings=FAST) as launched:
            assert launched.current is not None
            assert launched.current.anchor == "DiagnosticReport/dr-1"
            await Worklist(launched).close_report()
        assert await session.wait_until(lambda it: it.current is None, 5)
