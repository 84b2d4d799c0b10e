"""The ends of a subscription: lease, lost connection, shutdown, denial (2.4, 2.5; RAD-152)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fhircast_conformance.check import Blocked, NotApplicable
from fhircast_conformance.messages import new_case, put, target
from fhircast_conformance.subscriber.scenarios.following import left
from fhircast_conformance.subscriber.scenarios.joining import SUBSCRIBE_ROWS
from fhircast_conformance.subscriber.scenarios.requesting import SYNC_ERROR_ROWS
from fhircast_conformance.subscriber.stage import Stage, scenario

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from fhircast_conformance.subscriber.lines import Line

MAX_ATTEMPTS = 3
"""Subscribe requests within the watching time that are still no blind loop."""


@scenario("IRA-SUB-04", title="back from a lost connection it reads what it missed")
async def comes_back(stage: Stage) -> None:
    """Cut the connection, then close it with 1001; meanwhile content changes."""
    stage.need("DiagnosticReport-open", "DiagnosticReport-update")
    for lose in (stage.hub.cut, stage.hub.close):
        await _lose_and_return(stage, lose)


async def _lose_and_return(stage: Stage, lose: Callable[[], Awaitable[None]]) -> None:
    hub, case = stage.hub, new_case()
    await stage.follow(case.opens(hub.topic))
    await lose()
    version = hub.session.contexts[target(case.report)].version
    await stage.send(case.updates(hub.topic, version, put(case.observation())), skip=True)
    since = hub.now()
    stage.say(f"waiting for the application to come back ({stage.waits.rejoin:g} s)")
    if not await hub.record.until(lambda: hub.lines, stage.waits.rejoin):
        raise NotApplicable("it did not come back by itself after its connection was lost")
    record = hub.record
    read = await record.until(lambda: record.reads("context", since), stage.waits.ack)
    wrong = "it came back and did not read the current context, whose version had moved"
    stage.findings.judge("IRA-SUB-04", "" if read else wrong)


@scenario("CONF-04", title="it renews its lease before the end", gives=SUBSCRIBE_ROWS, joins=False)
async def renews(stage: Stage) -> None:
    """Grant a short lease."""
    hub, lease = stage.hub, stage.waits.lease
    hub.lease_seconds = lease
    await _start_anew(stage)
    since = hub.now()
    stage.say(f"waiting for a renewal of a lease of {lease} s")
    record = hub.record

    def renewed() -> bool:
        return any(it.is_subscribe and it.endpoint for it in record.forms(since))

    if not await record.until(lambda: renewed() or not hub.lines, lease + 1.0):
        raise Blocked("the lease did not end")
    if not renewed():
        stage.findings.not_applicable("CONF-04", "it did not renew, as it may leave to a new join")
        return
    accepted = [it for it in record.forms(since) if it.is_subscribe and it.endpoint]
    if accepted[0].status != 202:
        raise Blocked(f"its renewal was refused ({accepted[0].status})")
    stage.findings.judge("CONF-04")


@scenario(title="it answers a logout of the user", gives=("ACK-01", "ACK-02", *SYNC_ERROR_ROWS))
async def answers_a_logout(stage: Stage) -> None:
    """Log the user out; the application may end after its answer."""
    stage.need("UserLogout")
    await stage.follow(stage.hub.message("UserLogout", [left("system-timeout")]))
    await stage.quiet()


@scenario(
    "UNS-06",
    "UNS-01",
    title="a normal shutdown unsubscribes and closes with 1000",
    gives=("SUB-01", "SUB-05"),
)
async def leaves(stage: Stage) -> None:
    """End the application as a user does."""
    hub, line = stage.hub, stage.hub.lines[-1]
    since = hub.now()
    stage.say("ending the application")
    if not await stage.app.stop():
        raise NotApplicable("needs somebody who ends the application")
    record = hub.record
    ended = await record.until(lambda: _is_over(line, stage, since), stage.waits.leave)
    unsubscribed = [it for it in record.forms(since) if it.mode == "unsubscribe"]
    wrong = "it ended without an unsubscribe"
    for row in ("UNS-01", "UNS-06"):
        stage.findings.judge(row, "" if unsubscribed else wrong)
    for form in unsubscribed:
        refused = f"its unsubscribe named no subscription of its own ({form.status})"
        stage.findings.judge("UNS-01", refused if form.status != 202 else "")
    codes = [it.code for it in record.closes(since) if it.endpoint == line.endpoint]
    if not ended or not codes:
        stage.findings.judge("UNS-06", "the socket stayed open")
    elif unsubscribed:
        stage.findings.judge("UNS-06", "" if codes[0] == 1000 else f"closed with {codes[0]}")


@scenario("CONF-07", title="after a denial it does not come back by itself")
async def accepts_a_denial(stage: Stage) -> None:
    """Deny the subscription."""
    line, since = stage.hub.lines[-1], stage.hub.now()
    await stage.hub.deny("ended by an administrator")
    await _judge_ended(stage, since, [line.endpoint])


@scenario("CONF-07", title="a denial instead of a confirmation is final, too", joins=False)
async def accepts_a_denial_at_once(stage: Stage) -> None:
    """Deny the subscription as soon as the socket is open (CONF-06)."""
    hub = stage.hub
    hub.deny_joins = "not allowed here"
    since = hub.now()
    await stage.app.stop()
    await hub.close(1001)
    await stage.app.start(hub)
    connected = await hub.record.until(lambda: hub.record.connects(since), stage.waits.join)
    if not connected:
        raise NotApplicable("it did not subscribe anew")
    endpoint = hub.record.connects(since)[0].endpoint
    await _judge_ended(stage, hub.record.connects(since)[0].at, [endpoint], after_connect=True)


@scenario("CONF-07", title="a refused subscribe is not tried again blindly", joins=False)
async def accepts_a_refused_subscribe(stage: Stage) -> None:
    """Answer subscribe requests with 401, then with 403."""
    for status in (401, 403):
        await _refuse_subscribes(stage, status)


async def _refuse_subscribes(stage: Stage, status: int) -> None:
    hub, record = stage.hub, stage.hub.record
    hub.form_fault = status
    await stage.app.stop()
    await hub.deny("the session is moved")
    since = hub.now()
    await stage.app.start(hub)
    if not await record.until(lambda: record.forms(since), stage.waits.join):
        raise NotApplicable("it did not subscribe anew")
    await stage.quiet()
    tries = [it for it in record.forms(since) if it.is_subscribe]
    loop = f"{len(tries)} subscribe requests though refused with {status}"
    stage.findings.judge("CONF-07", loop if len(tries) > MAX_ATTEMPTS else "")


async def _judge_ended(
    stage: Stage, since: float, endpoints: list[str], *, after_connect: bool = False
) -> None:
    """Judge that nobody comes back to these endpoints, nor subscribes anew, unasked."""
    await stage.quiet()
    record = stage.hub.record
    connects = [it for it in record.connects(since) if it.endpoint in endpoints]
    allowed = 1 if after_connect else 0
    back = "it connected again to the endpoint that was denied"
    stage.findings.judge("CONF-07", back if len(connects) > allowed else "")
    anew = [it for it in record.forms(since) if it.is_subscribe]
    wrong = "it subscribed anew by itself, without fresh credentials or a user's decision"
    stage.findings.judge("CONF-07", wrong if anew else "")


async def _start_anew(stage: Stage) -> None:
    """End the application, whatever state it is in, and start it."""
    await stage.app.stop()
    await stage.hub.close(1001)
    await stage.joined()


def _is_over(line: Line, stage: Stage, since: float) -> bool:
    ends = stage.hub.record.closes(since)
    return not line.is_open and any(it.endpoint == line.endpoint for it in ends)
