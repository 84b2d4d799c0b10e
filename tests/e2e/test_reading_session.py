"""One reading session on the wire: open, measure, select, sign off, close (IRA flow, steps A to E).

The messages are the JSON files beside the other examples: R5 as IRA has them, and their R4 form,
with `imagingStudy` for `study` and no ImagingSelection. The patient is made up.
"""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from fhircast_conformance.wire import REPORT_EVENTS, Json, Socket

if TYPE_CHECKING:
    from hub_server import RunningHub, StartHub

EXAMPLES = Path(__file__).parents[1] / "spec_examples"
STEPS = ("1_open", "2_share", "3_select", "4_clear_selection", "5_sign_off", "6_close")
NAMES = ("Worklist Client", "Image Display", "Report Creator")
RELEASES = [("r5", "ira"), ("r5", "base"), ("r4", "ira"), ("r4", "base")]


def example(release: str, step: str) -> Json:
    """A message of the flow, moved to the last minute so that any clock accepts it."""
    text = (EXAMPLES / f"reading_session_{release}" / f"{step}.json").read_text()
    value: Json = json.loads(text)
    moment = datetime.now(UTC) - timedelta(seconds=60 - 10 * STEPS.index(step))
    value["timestamp"] = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return value


class Reading:
    """Three subscribers of one topic, and what the hub tells them."""

    def __init__(self, hub: RunningHub, release: str, profile: str, sockets: list[Socket]) -> None:
        self.hub = hub
        self.release = release
        self.is_ira = profile == "ira"
        self.sockets = sockets
        self.topic: str = example(release, "1_open")["event"]["hub.topic"]
        self.version = ""

    def message(self, step: str, **changes: object) -> Json:
        """The message of a step, based on the newest version if it is an update."""
        value = copy.deepcopy(example(self.release, step))
        if value["event"]["hub.event"].endswith("-update"):
            value["event"]["context.versionId"] = self.version
        return value | changes

    async def step(self, step: str, status: int = 202) -> list[Json]:
        """Post a step; return what each subscriber got, after checking that it is all the same."""
        return await self.say(self.message(step), status)

    async def say(self, request: Json, status: int = 202) -> list[Json]:
        answer = await self.hub.wire.post(request)
        assert (answer.status_code, answer.json()["id"]) == (status, request["id"])
        frames = [await it.followed() for it in self.sockets]
        assert all(it == frames[0] for it in frames)
        return frames

    async def refused(self, request: Json, status: int) -> None:
        """Post what the hub must refuse, changing nothing."""
        before = await self.view()
        answer = await self.hub.wire.post(request)
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"].startswith("text/plain")
        assert await self.view() == before

    async def view(self) -> Json:
        return await self.hub.wire.context(self.topic)

    async def until(self, step: str) -> None:
        """Play the flow up to and with this step."""
        for it in STEPS[: STEPS.index(step) + 1]:
            (frame, *_) = await self.step(it)
            self.version = frame["event"].get("context.versionId", self.version)


class Shown(NamedTuple):
    """What a GET says, in short."""

    type: str
    keys: list[str]
    content: list[str]


def shown(view: Json) -> Shown:
    keys = [it["key"] for it in view["context"]]
    bundles = [it["resource"] for it in view["context"] if it["key"] == "content"]
    content = [entry["fullUrl"] for it in bundles for entry in it.get("entry", [])]
    return Shown(view["context.type"], keys, content)


@pytest.fixture(params=RELEASES, ids="-".join)
async def reading(request: pytest.FixtureRequest, start_hub: StartHub) -> Reading:
    release, profile = request.param
    hub = await start_hub(profile=profile)
    topic = example(release, "1_open")["event"]["hub.topic"]
    sockets = [await hub.wire.join(topic, name=name) for name in NAMES]
    return Reading(hub, release, profile, sockets)


def shared_in(release: str) -> list[str]:
    return [*(["ImagingSelection/sl-1"] if release == "r5" else []), "Observation/ob-1"]


async def test_a_session_starts_empty(reading: Reading) -> None:
    """Step A, RAD-146, RAD-147, RAD-153: everybody is confirmed, and nothing is open."""
    for socket in reading.sockets:
        assert socket.confirmation == {
            "hub.mode": "subscribe",
            "hub.topic": reading.topic,
            "hub.events": ",".join(REPORT_EVENTS),
            "hub.lease_seconds": 7200,
        }
    view = await reading.view()
    assert (view["context.type"], view["context"]) == ("", [])
    assert view["context.versionId"]


async def test_the_open_reaches_everybody_with_a_version(reading: Reading) -> None:
    """Step B, RAD-148, RAD-154: the request comes back to all, only the version is added."""
    request = reading.message("1_open")
    (frame, *_) = await reading.say(request)
    version = frame["event"].pop("context.versionId")
    assert frame == request
    view = await reading.view()
    assert view["context.versionId"] == version
    assert shown(view) == ("DiagnosticReport", ["report", "patient", "study", "content"], [])


async def test_a_measurement_is_shared(reading: Reading) -> None:
    """Step C, RAD-150: the update comes back to all, with a new version and the one before."""
    await reading.until("1_open")
    request = reading.message("2_share")
    (frame, *_) = await reading.say(request)
    assert frame["event"]["context"] == request["event"]["context"]
    assert frame["event"]["context.priorVersionId"] == reading.version
    assert frame["event"]["context.versionId"] != reading.version
    view = await reading.view()
    assert view["context.versionId"] == frame["event"]["context.versionId"]
    assert shown(view).content == shared_in(reading.release)


async def test_a_stale_version_is_a_conflict(reading: Reading) -> None:
    """Step C, RAD-150, D-42: 400 under IRA, 409 else; nothing changes, a retry is accepted."""
    await reading.until("1_open")
    stale = reading.message("5_sign_off")
    reading.version = (await reading.step("2_share"))[0]["event"]["context.versionId"]
    await reading.refused(stale, 400 if reading.is_ira else 409)
    (frame, *_) = await reading.say(reading.message("5_sign_off", id="e-1030-again"))
    assert frame["event"]["context.priorVersionId"] == reading.version


async def test_a_selection_shows_the_version_and_keeps_it(reading: Reading) -> None:
    """Step D, RAD-151, D-10: a select carries the current version and makes none."""
    await reading.until("2_share")
    before = await reading.view()
    for step in ("3_select", "4_clear_selection"):
        request = reading.message(step)
        (frame, *_) = await reading.say(request)
        assert frame["event"].pop("context.versionId") == reading.version
        assert frame == request
    assert await reading.view() == before


async def test_an_unknown_reference_in_a_selection(reading: Reading) -> None:
    """Step D, RAD-151, D-09: IRA answers 206 and drops it; the base profile passes it on."""
    await reading.until("2_share")
    request = reading.message("3_select")
    sent = copy.deepcopy(request["event"]["context"])
    unknown = {"key": "select", "reference": {"reference": "Observation/unknown"}}
    request["event"]["context"].append(unknown)
    (frame, *_) = await reading.say(request, 206 if reading.is_ira else 202)
    assert frame["event"]["context"] == (sent if reading.is_ira else [*sent, unknown])


async def test_sign_off_leaves_the_open_as_it_was(reading: Reading) -> None:
    """Step E, RAD-150, CTX-07: the report item stays as opened, the content holds it as final."""
    await reading.until("4_clear_selection")
    await reading.step("5_sign_off")
    view = await reading.view()
    assert view["context"][0]["resource"]["status"] == "unknown"
    assert shown(view).content == [*shared_in(reading.release), "DiagnosticReport/dr-1"]
    assert view["context"][-1]["resource"]["entry"][-1]["resource"]["status"] == "final"


async def test_the_close_empties_the_context(reading: Reading) -> None:
    """Step E, RAD-149: the close comes back to all, and nothing is open any more."""
    await reading.until("5_sign_off")
    request = reading.message("6_close")
    (frame, *_) = await reading.say(request)
    frame["event"].pop("context.versionId", None)
    assert frame == request
    assert shown(await reading.view()) == ("", [], [])


@pytest.mark.parametrize("step", ["2_share", "3_select", "6_close"])
async def test_nothing_happens_to_a_closed_report(reading: Reading, step: str) -> None:
    """Step E, D-29: update and select are refused with 409; so is a close under IRA."""
    await reading.until("6_close")
    again = reading.message(step, id="e-late")
    if step == "6_close" and not reading.is_ira:
        await reading.say(again)  # base EHRs close what was only implied
    else:
        await reading.refused(again, 409)


async def test_versions_form_one_chain(reading: Reading) -> None:
    """Flow section 6: every update names the version before it; none is used twice."""
    versions = []
    for step in ("1_open", "2_share", "5_sign_off"):
        (frame, *_) = await reading.step(step)
        assert frame["event"].get("context.priorVersionId", "") == reading.version
        reading.version = frame["event"]["context.versionId"]
        versions.append(reading.version)
    assert len(set(versions)) == 3


async def test_all_see_one_order(reading: Reading) -> None:
    """Flow section 6: every broadcast reaches every subscriber once, in the same order."""
    for step in STEPS:
        message = reading.message(step)
        answer = await reading.hub.wire.post(message)
        assert answer.status_code == 202, answer.text
        reading.version = answer.json().get("context.versionId", reading.version)
    seen = [[(await it.followed())["id"] for _ in STEPS] for it in reading.sockets]
    assert seen == [[example(reading.release, step)["id"] for step in STEPS]] * 3
