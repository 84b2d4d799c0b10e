"""How a check's words become a verdict; which checks are run; where tokens come from."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING, Any

import pytest
from fhircast_conformance.bench import HubUnderTest, Timers
from fhircast_conformance.check import Blocked, Check, Failed, NotApplicable
from fhircast_conformance.checks import all_checks
from fhircast_conformance.results import Verdict
from fhircast_conformance.rows import decisions, rows
from fhircast_conformance.runner import run_check, run_checks, select_checks
from fhircast_conformance.tokens import OneToken, TokenCommand

if TYPE_CHECKING:
    from fhircast_conformance.bench import Bench
    from fhircast_conformance.results import CheckResult

NOBODY = HubUnderTest("http://127.0.0.1:9/api/hub", "base", Timers(), OneToken())
RIGHTS: dict[str, Any] = {"scope": "fhircast/*.*", "topic": "", "seconds": 3600, "subject": ""}


def check_that(raises: Exception | None = None, *, row: str = "SUB-06", name: str = "it") -> Check:
    async def body(_bench: Bench) -> None:
        if raises is not None:
            raise raises

    body.__name__ = name
    return Check((row,), "a title", frozenset({"base", "ira"}), body)


@pytest.mark.parametrize(
    ("raised", "verdict"),
    [
        (None, Verdict.PASSED),
        (Failed("seen"), Verdict.FAILED),
        (NotApplicable("not declared"), Verdict.NOT_APPLICABLE),
        (Blocked("subscribing was refused"), Verdict.INCONCLUSIVE),
        (TimeoutError(), Verdict.INCONCLUSIVE),
        (ConnectionRefusedError(), Verdict.INCONCLUSIVE),
        (KeyError("event"), Verdict.INCONCLUSIVE),
        (RecursionError(), Verdict.INCONCLUSIVE),
    ],
)
async def test_only_a_judging_call_fails_a_row(raised: Exception | None, verdict: Verdict) -> None:
    result = await run_check(NOBODY, check_that(raised))
    assert result.verdict is verdict


async def test_a_hub_that_is_not_there_leaves_rows_undecided() -> None:
    async def body(bench: Bench) -> None:
        await bench.join("A")

    result = await run_check(NOBODY, Check(("SUB-06",), "joins", frozenset({"base"}), body))
    assert result.verdict is Verdict.INCONCLUSIVE
    assert "ConnectError" in result.reason


async def test_each_result_is_told_as_it_comes() -> None:
    told: list[tuple[str, int, int]] = []

    def progress(result: CheckResult, done: int, total: int) -> None:
        told.append((result.name, done, total))

    checks = [check_that(name="one"), check_that(name="two")]
    run = await run_checks(NOBODY, checks, progress=progress)
    assert sorted(told, key=lambda it: it[1]) == [(told[0][0], 1, 2), (told[1][0], 2, 2)]
    assert [it.name for it in run.checks] == ["one", "two"]


def test_checks_are_chosen_by_row_family_or_name() -> None:
    checks = [check_that(name="a"), check_that(row="EVT-05", name="b")]
    assert [it.name for it in select_checks(checks, "base", ["SUB"])] == ["a"]
    assert [it.name for it in select_checks(checks, "base", ["evt-05"])] == ["b"]
    assert [it.name for it in select_checks(checks, "base", ["a", "EVT"])] == ["a", "b"]
    with pytest.raises(ValueError, match="XYZ"):
        select_checks(checks, "base", ["XYZ"])


def test_rows_of_ira_are_judged_in_that_profile_only() -> None:
    for check in all_checks():
        if any(row.startswith("IRA-") for row in check.rows):
            assert check.profiles == {"ira"}, check.name


def test_every_row_that_binds_a_hub_has_a_check() -> None:
    judged = {row for check in all_checks() for row in check.rows}
    bound = {key for key, row in rows().items() if row.binds_hub}
    assert bound - judged == set()


def test_every_check_names_rows_of_the_catalogue() -> None:
    assert {row for check in all_checks() for row in check.rows} <= {*rows(), *decisions()}


async def test_one_token_is_not_taken_for_other_rights() -> None:
    tokens = OneToken("secret")
    assert await tokens.get(**RIGHTS) == "secret"
    with pytest.raises(NotApplicable, match="--token-cmd"):
        await tokens.get(**(RIGHTS | {"scope": "fhircast/Patient-open.read"}))


async def test_a_token_command_is_told_the_rights_and_asked_once() -> None:
    program = 'import sys, uuid; print(*sys.argv[1:], uuid.uuid4(), sep="/")'
    tokens = TokenCommand(
        f"{sys.executable} -c {shlex.quote(program)} {{scope}} {{seconds}} {{subject}}"
    )
    one, again = await tokens.get(**RIGHTS), await tokens.get(**RIGHTS)
    assert one == again
    assert one.startswith("fhircast/*.*/3600/conformance-kit/")
    short = RIGHTS | {"seconds": 5}
    assert await tokens.get(**short) != await tokens.get(**short)


async def test_a_token_command_that_fails_leaves_rows_undecided() -> None:
    with pytest.raises(Blocked, match="ended with 3"):
        await TokenCommand(f"{sys.executable} -c 'raise SystemExit(3)'").get(**RIGHTS)
