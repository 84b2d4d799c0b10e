"""The kit for subscribers can fail: what is broken is red in its own rows, and only there."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, ClassVar

import httpx
import pytest
from conformance_kit.judged import not_passed
from conformance_kit.library_apps import QUICK
from conformance_kit.plain_subscriber import PlainSubscriber
from fhircast_conformance.messages import new_id, sync_error
from fhircast_conformance.results import Verdict
from fhircast_conformance.subscriber import PlayedHub, run_scenarios

if TYPE_CHECKING:
    from fhircast_conformance.messages import Case
    from fhircast_conformance.results import Run

Json = dict[str, Any]


@pytest.mark.parametrize("profile", ["base", "ira"])
async def test_the_plain_subscriber_passes(profile: str) -> None:
    """What the mutants are made from is right in every row that it gives an occasion for."""
    async with PlayedHub(profile=profile) as hub:
        run = await run_scenarios(hub, PlainSubscriber(), waits=QUICK)
    assert not not_passed(run)
    assert {it.row.id for it in run.rows if it.verdict is Verdict.NOT_APPLICABLE} == {
        "GEN-02",
        "PROF-04",
        "PROF-06",
        "CONT-14",
        "WK-06",
    }


class NeverAnswers(PlainSubscriber):
    red = "ACK-01"

    async def answer(self, frame: Json, status: int) -> None:
        pass


class AnswersWithAnotherId(PlainSubscriber):
    red = "ACK-01"

    async def answer(self, frame: Json, status: int) -> None:
        await super().answer({"id": f"x{frame['id']}"}, status)


class AnswersInWords(PlainSubscriber):
    red = "ACK-02"

    async def answer(self, frame: Json, status: int | str) -> None:
        await super().answer(frame, "ok")  # type: ignore[arg-type]  # that is the fault


class FollowsOlderOpens(PlainSubscriber):
    red = "EVT-10"

    def is_to_be_followed(self, frame: Json) -> bool:
        return True


class ClosesForEveryOpen(PlainSubscriber):
    """A single tab: another open closes what was there, for everybody."""

    red = "TAB-04"

    async def on_open(self, frame: Json, anchor: str) -> int:
        before = self.current
        status = await super().on_open(frame, anchor)
        if before in self.opens and self.current != before and not self.is_busy:
            context = self.opens[before]["context"]
            self.do(self.post(self.message("DiagnosticReport-close", context)))
        return status


class ComesBackAfterADenial(PlainSubscriber):
    red = "CONF-07"

    async def denied(self) -> None:
        pass


class RefusesWithoutAWord(PlainSubscriber):
    """It cannot follow, and says nothing after its 202."""

    red = "ACK-04"

    async def refuse(self, frame: Json) -> None:
        pass


class RepeatsAField(PlainSubscriber):
    red = "SUB-05"

    def form(self, mode: str, **fields: str) -> list[tuple[str, str]]:
        return [*super().form(mode, **fields), ("hub.mode", mode)]


class RenewsWithoutEvents(PlainSubscriber):
    red = "SUB-04"

    async def renew(self, lease: float) -> None:
        await asyncio.sleep(lease * 0.6)
        await self.post_form(self.form("subscribe", channel__endpoint=self.endpoint))


class SendsNoToken(PlainSubscriber):
    red = "SUB-10"

    def bearer(self) -> dict[str, str]:
        return {}


class WritesLocalTime(PlainSubscriber):
    red = "EVT-09"

    def timestamp(self) -> str:
        return super().timestamp().removesuffix("Z")


class UsesOneIdForAll(PlainSubscriber):
    red = "EVT-08"
    _id: ClassVar[str] = "00000000-0000-4000-8000-000000000001"

    async def do_logout(self) -> None:
        message = self.message("UserLogout", [{"key": "parameters", "resource": self.why()}])
        await self.post({**message, "id": self._id})

    async def do_hibernate(self) -> None:
        message = self.message("UserHibernate", [{"key": "parameters", "resource": self.why()}])
        await self.post({**message, "id": self._id})


class PostsItsUpdates(PlainSubscriber):
    red = "CONT-12"

    def put(self, resource: Json) -> Json:
        entry = super().put(resource)
        return {**entry, "request": {**entry["request"], "method": "POST"}}


class UsesTheFirstVersion(PlainSubscriber):
    """It never learns, and tries again."""

    red = "CONT-17"

    def __init__(self) -> None:
        super().__init__()
        self.first: dict[str, str] = {}

    async def on_open(self, frame: Json, anchor: str) -> int:
        status = await super().on_open(frame, anchor)
        self.first.setdefault(anchor, self.versions.get(anchor, ""))
        return status

    def version(self) -> str:
        return self.first[self.current]

    async def do_update(self) -> None:
        for _ in range(3):
            await self.share(self.put(self.measured()))


class SendsNoVersion(PlainSubscriber):
    red = "CONT-02"

    def version(self) -> str:
        return ""


class RemovesThePatient(PlainSubscriber):
    red = "CONT-13"

    async def do_update(self) -> None:
        await super().do_update()
        items = self.opens[self.current]["context"]
        (patient,) = (it["resource"]["id"] for it in items if it["key"] == "patient")
        url = f"Patient/{patient}"
        await self.share({"fullUrl": url, "request": {"method": "DELETE", "url": url}})


class MeasuresNobody(PlainSubscriber):
    red = "CONT-21"

    def measured(self) -> Json:
        observation = super().measured()
        del observation["subject"]
        return observation


class SelectsInABundle(PlainSubscriber):
    red = "SEL-01"

    async def do_select(self) -> None:
        chosen = {"key": "select", "resource": {"resourceType": "Observation", "id": "o"}}
        named = {"key": "report", "reference": {"reference": self.current}}
        await self.post(self.message("DiagnosticReport-select", [named, chosen]))


class LeavesWithoutAWord(PlainSubscriber):
    red = "UNS-01 UNS-06"

    async def leave(self) -> None:
        if self.socket is not None:
            await self.socket.close(1000)


class TriesAgainBlindly(PlainSubscriber):
    red = "EVT-07"

    async def post(self, message: Json) -> int:
        while True:
            try:
                status = await self.post_once(message)
            except httpx.TransportError:
                continue
            if status < 400:
                return status
            message = {**message, "id": new_id()}
            await asyncio.sleep(0.01)


class DiesOfARefusal(PlainSubscriber):
    red = "EVT-07"

    async def post_once(self, message: Json) -> int:
        status = await super().post_once(message)
        if status >= 400:
            self.main.cancel()
        return status


class ComplainsAboutUpdates(PlainSubscriber):
    red = "SYNC-11"

    async def on_update(self, frame: Json, anchor: str) -> int:
        await super().on_update(frame, anchor)
        self.do(self.post(sync_error(self.topic, frame["id"], "DiagnosticReport-update", "Plain")))
        return 202


class ComplainsFatally(PlainSubscriber):
    red = "SYNC-03"

    def refusal(self, frame: Json) -> Json:
        message = super().refusal(frame)
        message["event"]["context"][0]["resource"]["issue"][0]["severity"] = "fatal"
        return message


class SendsAgainAtOnce(PlainSubscriber):
    red = "SYNC-12"
    resend_seconds = 0.0


class ClosesAnotherReport(PlainSubscriber):
    red = "PROF-10"

    def closed(self, context: list[Json]) -> list[Json]:
        return [
            {**it, "resource": {**it["resource"], "id": new_id()}} if it["key"] == "report" else it
            for it in context
        ]


class OpensWithoutIdentifiers(PlainSubscriber):
    red = "PROF-01"

    def opened(self, case: Case) -> list[Json]:
        return [
            {**it, "resource": {**it["resource"], "identifier": []}}
            if it["key"] == "patient"
            else it
            for it in super().opened(case)
        ]


class NewIdWithoutAnswer(PlainSubscriber):
    profile = "ira"
    red = "IRA-SUB-08"

    def again(self, message: Json) -> Json:
        return {**message, "id": new_id()}


class OverlooksGaps(PlainSubscriber):
    profile = "ira"
    red = "IRA-SUB-04"

    async def gap(self) -> None:
        pass


class HasNoName(PlainSubscriber):
    profile = "ira"
    red = "IRA-SUB-01"
    name = ""

    def refusal(self, frame: Json) -> Json:
        return sync_error(self.topic, frame["id"], frame["event"]["hub.event"], "Plain")


class OpensAFinalReport(PlainSubscriber):
    profile = "ira"
    red = "IRA-PR-01"

    def opened(self, case: Case) -> list[Json]:
        case.report["status"] = "final"
        return super().opened(case)


def batches(size: int = 3) -> list[list[Any]]:
    """Return all mutants, a few at a time."""
    them = [
        it
        for it in list(globals().values())
        if isinstance(it, type) and issubclass(it, PlainSubscriber) and it is not PlainSubscriber
    ]
    return [them[at : at + size] for at in range(0, len(them), size)]


async def judge(make: Any) -> Run:
    """Run the kit on a mutant, in its profile."""
    async with PlayedHub(profile=getattr(make, "profile", "base")) as hub:
        return await run_scenarios(hub, make(), waits=QUICK)


@pytest.mark.parametrize(
    "mutants", batches(), ids=lambda them: "-".join(it.__name__ for it in them)
)
async def test_what_is_broken_is_red_and_nothing_else(mutants: list[Any]) -> None:
    """Each broken subscriber fails the rows that it breaks, and no other; a run mostly waits."""
    runs = await asyncio.gather(*map(judge, mutants))
    for mutant, run in zip(mutants, runs, strict=True):
        failed = [it for it in run.rows if it.verdict is Verdict.FAILED]
        seen = {it.row.id: it.reason for it in failed}
        assert seen.keys() == set(mutant.red.split()), (mutant.__name__, seen)
        assert run.is_conformant is not any(it.row.is_demand for it in failed)
