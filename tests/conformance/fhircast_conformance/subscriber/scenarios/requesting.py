"""What the application asks for itself: open, update, select, close, logout, refusal (2.6)."""

from __future__ import annotations

from fhircast_conformance.messages import new_case, put, target
from fhircast_conformance.subscriber.judges.others import about
from fhircast_conformance.subscriber.stage import Stage, scenario

MESSAGE_ROWS = (
    *("EVT-02", "EVT-08", "EVT-09", "EVT-13", "EVT-14", "EVT-15", "EVT-16"),
    *("EVT-17", "SUB-10", "IRA-EC-02"),
)
OPEN_ROWS = (
    *("EVT-20", "PROF-01", "PROF-03", "PROF-04", "PROF-05", "PROF-06", "PROF-08", "PROF-09"),
    *("IRA-PR-01", "IRA-PR-02", "IRA-PR-03"),
)
CLOSE_ROWS = ("PROF-02", "PROF-07", "PROF-10")
UPDATE_ROWS = (
    *("CONT-02", "CONT-08", "CONT-09", "CONT-10", "CONT-11", "CONT-12", "CONT-13", "CONT-14"),
    *("CONT-17", "CONT-20", "CONT-21", "PROF-13", "IRA-CC-02", "IRA-CC-04", "IRA-PR-04"),
)
SYNC_ERROR_ROWS = ("SYNC-02", "SYNC-03", "SYNC-04", "SYNC-11")


@scenario(title="it opens a context", gives=(*MESSAGE_ROWS, *OPEN_ROWS))
async def opens(stage: Stage) -> None:
    """Have a case opened at the application."""
    await stage.ask("open", "-open")


@scenario(title="it closes what is open", gives=(*MESSAGE_ROWS, *CLOSE_ROWS))
async def closes(stage: Stage) -> None:
    """Have the current context closed at the application."""
    await stage.follow(stage.opening(new_case()))
    await stage.ask("close", "-close")


@scenario(
    title="its update uses the version that others made last", gives=(*MESSAGE_ROWS, *UPDATE_ROWS)
)
async def updates(stage: Stage) -> None:
    """Let others share content three times, then have content shared at the application.

    A driver may share more than one update: one that removes something shows CONT-11.
    """
    stage.need("DiagnosticReport-open", "DiagnosticReport-update")
    case, topic = new_case(), stage.hub.topic
    await stage.follow(case.opens(topic))
    for _ in range(3):
        version = stage.hub.session.contexts[target(case.report)].version
        await stage.follow(case.updates(topic, version, put(case.observation())))
    await stage.pass_in_flight()
    await stage.ask("update", "-update")
    await stage.quiet()


@scenario(title="it selects shared content", gives=(*MESSAGE_ROWS, "SEL-01", "SEL-03"))
async def selects(stage: Stage) -> None:
    """Share a measurement, then have it selected at the application."""
    stage.need("DiagnosticReport-open", "DiagnosticReport-update")
    case, topic = new_case(), stage.hub.topic
    await stage.follow(case.opens(topic))
    version = stage.hub.session.contexts[target(case.report)].version
    await stage.follow(case.updates(topic, version, put(case.observation())))
    await stage.ask("select", "-select")


@scenario(title="it logs the user out for everybody", gives=(*MESSAGE_ROWS, "INF-01"))
async def logs_out(stage: Stage) -> None:
    """Have the user logged out at the application."""
    await stage.ask("logout", "UserLogout")


@scenario(title="it lets the user hibernate", gives=(*MESSAGE_ROWS, "INF-03"))
async def hibernates(stage: Stage) -> None:
    """Have the workstation locked at the application."""
    await stage.ask("hibernate", "UserHibernate")


@scenario(
    "ACK-04",
    title="it says so when it cannot follow: an error at once, or 202 and a SyncError",
    gives=SYNC_ERROR_ROWS,
)
async def says_that_it_cannot_follow(stage: Stage) -> None:
    """Keep the application busy with one context and open another."""
    await stage.follow(stage.opening(new_case()))
    await stage.act("hold")
    since = stage.hub.now()
    try:
        other = stage.opening(new_case())
        status = await stage.follow(other)
        if status == 202:
            record = stage.hub.record
            await record.until(lambda: record.posts(since, "SyncError"), stage.waits.ack)
            named = [about(it)[0] for it in record.posts(since, "SyncError")]
            said = other["id"] in named
            stage.findings.judge("ACK-04", "" if said else "202, and no SyncError in time")
        else:
            wrong = f"it could not follow, and answered {status}"
            stage.findings.judge("ACK-04", "" if status >= 400 else wrong)
    finally:
        await stage.app.act("release")
