"""A hub that refuses, is silent or slow, or tells of others that do not follow (2.6; RAD-148)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from fhircast_conformance.messages import new_case, sync_error
from fhircast_conformance.subscriber.stage import Stage, scenario

if TYPE_CHECKING:
    from fhircast_conformance.subscriber.record import Post

REFUSALS = (400, 403, 409, 413, 500, 503)
MAX_RETRIES = 3
"""Sent again more often than this within the watching time, a request is in a blind loop."""


@scenario("EVT-07", title="a refused request is handled: no loop, no crash", gives=("IRA-SUB-08",))
async def survives_refusals(stage: Stage) -> None:
    """Refuse what the application asks for, with every status a hub may use."""
    for status in REFUSALS:
        stage.hub.post_fault = status
        since = await stage.act("open")
        first = await stage.posted("-open", since)
        await stage.quiet()
        tries = [it for it in stage.hub.record.posts(since) if _is_same(it, first)]
        stage.hub.post_fault = None
        loop = f"sent {len(tries)} times within {stage.waits.quiet:g} s though refused ({status})"
        stage.findings.judge("EVT-07", loop if len(tries) > 1 + MAX_RETRIES else "")
        again = [it for it in tries[1:] if it.id == first.id]
        if len(tries) > 1 and not again:
            stage.findings.judge("IRA-SUB-08")
        await _judge_alive(stage, f"a refusal with {status}")


@scenario("IRA-SUB-08", title="a request without any answer is sent again with the same id")
async def repeats_what_was_not_answered(stage: Stage) -> None:
    """Leave a request without an answer until the application tries again."""
    stage.hub.post_fault = "silent"
    since = await stage.act("open")
    first = await stage.posted("-open", since)
    record = stage.hub.record

    def tries() -> list[Post]:
        return [it for it in record.posts(since) if _is_same(it, first)]

    is_repeated = await record.until(lambda: len(tries()) > 1, stage.waits.retry)
    stage.hub.post_fault = None
    if not is_repeated:
        stage.findings.not_applicable("IRA-SUB-08", "it did not try again without an answer")
    else:
        wrong = "sent again without any answer, but with another id"
        stage.findings.judge("IRA-SUB-08", wrong if tries()[1].id != first.id else "")
    await _judge_alive(stage, "a request that was never answered")


@scenario("EVT-07", title="a slow answer is waited for")
async def waits_for_a_slow_hub(stage: Stage) -> None:
    """Answer late."""
    stage.hub.post_fault = "late"
    since = await stage.act("open")
    first = await stage.posted("-open", since)
    await stage.hub.record.until(lambda: first.status is not None, stage.waits.late + 5)
    await stage.followed_itself(first)
    await stage.quiet()
    tries = [it for it in stage.hub.record.posts(since) if _is_same(it, first)]
    loop = f"sent {len(tries)} times while the answer took {stage.waits.late:g} s"
    stage.findings.judge("EVT-07", loop if len(tries) > 1 + MAX_RETRIES else "")


@scenario("SYNC-12", title="what others did not follow is sent again, ten seconds apart")
async def resends_what_was_not_followed(stage: Stage) -> None:
    """Tell of a subscriber that does not follow the application's open."""
    stage.need("SyncError")
    since = await stage.act("open")
    first = await stage.posted("-open", since)
    await stage.followed_itself(first)
    hub, waits = stage.hub, stage.waits
    hub.errors_about.add(first.id)
    told_at = hub.now()
    await stage.follow(sync_error(hub.topic, first.id, first.name, "Somebody Else"))
    record = hub.record

    def resent() -> list[Post]:
        return [it for it in record.posts(told_at) if it.id == first.id or _is_same(it, first)]

    stage.say(f"waiting for the open to be sent again (up to {waits.resend:g} s)")
    if not await record.until(resent, waits.resend):
        wrong = f"an open that others did not follow was not sent again within {waits.resend:g} s"
        stage.findings.judge("SYNC-12", wrong)
        return
    again = resent()[0]
    after = again.at - told_at
    early = f"sent again after {after:.1f} s, before {waits.resend_not_before:g} s"
    stage.findings.judge("SYNC-12", early if after < waits.resend_not_before * 0.95 else "")
    same = again.message.get("timestamp") == first.message.get("timestamp")
    stage.findings.judge("SYNC-12", "" if same else "sent again with another timestamp")
    await stage.follow(stage.opening(new_case()))
    newer_at = hub.now()
    await stage.quiet()
    late = [it for it in resent() if it.at > newer_at]
    stage.findings.judge("SYNC-12", "sent again after a newer open had come" if late else "")


async def _judge_alive(stage: Stage, after: str) -> None:
    """Judge that the application still follows."""
    if stage.is_mute:
        return
    case = new_case()
    deliveries = await stage.send(stage.opening(case))
    alive = bool(deliveries) and await stage.hub.answered(deliveries, stage.waits.ack)
    alive = alive and not any(it.is_lost for it in deliveries)
    stage.findings.judge("EVT-07", "" if alive else f"it no longer follows after {after}")
    await stage.send(stage.closing(stage.anchor(case)))


def _is_same(one: Post, other: Post) -> bool:
    """Whether two requests ask for the same: all but id, time and version."""

    def wish(post: Post) -> str:
        event = {key: it for key, it in post.event.items() if key != "context.versionId"}
        return json.dumps(event, sort_keys=True)

    return wish(one) == wish(other)
