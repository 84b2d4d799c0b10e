"""The watch: judges everything that an application does, whenever it does it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fhircast_conformance.subscriber.judges.events import (
    judge_context,
    judge_message,
    judge_subjects,
)
from fhircast_conformance.subscriber.judges.forms import judge_bearer, judge_form
from fhircast_conformance.subscriber.judges.opens import judge_close, judge_open
from fhircast_conformance.subscriber.judges.others import (
    judge_parameters,
    judge_select,
    judge_sync_error,
)
from fhircast_conformance.subscriber.judges.updates import judge_update
from fhircast_conformance.subscriber.record import Form, Post, Stray
from fhircast_conformance.subscriber.session import anchor_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fhircast_conformance.subscriber.findings import Finding, Findings
    from fhircast_conformance.subscriber.lines import Delivery
    from fhircast_conformance.subscriber.played import PlayedHub
    from fhircast_conformance.subscriber.record import Act

STATELESS = "stateless-evidence-creator"
"""The actor that never opens or closes (IRA-EC-02)."""


class Watch:
    """Judges acts as they come; what it finds goes to the findings of the scenario that runs.

    Attributes:
        findings: Where findings go.
    """

    def __init__(self, hub: PlayedHub, findings: Findings, *, actor: str = "") -> None:
        self.findings = findings
        self._hub = hub
        self._actor = actor
        self._bodies: dict[str, Post] = {}
        hub.record.watchers.append(self._see)

    def judge_answer(self, delivery: Delivery) -> None:
        """Judge the answer to a notification, or that there is none."""
        if delivery.is_lost:
            return
        if delivery.answer is None:
            self.findings.judge("ACK-01", f"no answer to {delivery.name} within the time for it")
            return
        has_status = "status" in delivery.answer
        self.findings.judge("ACK-01", "" if has_status else "an answer without status")
        if has_status:
            status = delivery.status
            fine = status is not None and 200 <= status < 600 and not 300 <= status < 400
            shown = delivery.answer.get("status")
            self.findings.judge("ACK-02", "" if fine else f"an answer with the status {shown!r}")

    def _see(self, act: Act) -> None:
        match act:
            case Form():
                self.findings.judge_all(judge_form(act))
                self.findings.judge_all(judge_bearer(act.authorization, self._hub.token))
            case Post():
                self.findings.judge_all(judge_bearer(act.authorization, self._hub.token))
                self.findings.judge_all(self._post(act))
                self._bodies.setdefault(act.id, act)
            case Stray():
                self._stray(act)
            case _:
                pass

    def _stray(self, stray: Stray) -> None:
        message = stray.message
        if message is None:
            self.findings.judge("GEN-02", "a frame that is no JSON object")
        elif "id" in message:
            self.findings.judge("ACK-01", "an answer with an id that was not sent to it")
        # Other frames mean nothing to a hub (D-38).

    def _post(self, post: Post) -> Iterator[Finding]:
        yield from judge_message(post)
        yield from self._id(post)
        if post.name.lower() == "syncerror":
            yield from judge_sync_error(post, self._hub.deliveries())
            return
        yield from judge_context(post)
        session = self._hub.session
        context = session.contexts.get(anchor_of(post.event))
        if post.is_a("-open"):
            yield from judge_subjects(post.event)
            yield from judge_open(post)
        elif post.is_a("-close"):
            yield from judge_subjects(post.event)
            meant = anchor_of(post.event)
            if context is None and meant not in session.ever_opened:
                context = session.contexts.get(session.current)  # it can mean no other one
            yield from judge_close(post, context)
        elif post.is_a("-update"):
            known = self._hub.known_versions(context.anchor, post.at) if context else set()
            yield from judge_update(post, context, known)
        elif post.is_a("-select"):
            yield from judge_select(post, session.current, self._pending())
        elif post.name.lower() in {"userlogout", "userhibernate"}:
            yield from judge_parameters(post)
        if self._actor == STATELESS:
            moves = post.is_a("-open") or post.is_a("-close")
            yield "IRA-EC-02", f"a stateless evidence creator sent {post.name}" if moves else ""

    def _id(self, post: Post) -> Iterator[Finding]:
        """Ids: new for each event, the same only where a request is sent again."""
        first = self._bodies.get(post.id)
        if first is None or not post.id:
            yield "EVT-08", ""
            return
        same = first.message == post.message
        yield "EVT-08", "" if same else "two different events with the same id"
        if first.status is not None and first.status >= 400:
            yield "IRA-SUB-08", f"sent again after {first.status} with the id of the first try"
        self._bodies[post.id] = post

    def _pending(self) -> set[str]:
        """Return anchors that the application may still hold for current."""
        moves = [
            it for it in self._hub.deliveries() if it.name.lower().endswith(("-open", "-close"))
        ]
        if not moves or moves[-1].answer is not None:
            return set()
        return {it.anchor for it in moves[-3:]}
