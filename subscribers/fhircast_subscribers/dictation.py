"""Dictation: the rules of IRA's Report Creator with Content Creator, without a screen.

The one rule above all: text belongs to the report that it was dictated for, and is never lost.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from fhircast_subscribers.adapter import Answer
from fhircast_subscribers.errors import RefusedLocally
from fhircast_subscribers.launch import OpensReports
from fhircast_subscribers.showing import Showing
from fhircast_subscribers.wire import resource_key

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fhircast_subscribers.client import HubSession
    from fhircast_subscribers.contexts import OpenContext
    from fhircast_subscribers.wire import Resource

MAX_DRAFTS = 256
_REFUSED = Answer(409, "unsaved dictation")


class ReportStore(Protocol):
    """Where reports are kept, e.g. a FHIR server."""

    async def put(self, report: Resource) -> None:
        """Store a DiagnosticReport whole; raise if it is not stored."""
        ...


@dataclass(frozen=True, slots=True)
class Draft:
    """Text for one report.

    Attributes:
        text: What is in the editor.
        caret: Position of the caret.
        saved_text: What was saved last.
    """

    text: str = ""
    caret: int = 0
    saved_text: str = ""

    @property
    def is_unsaved(self) -> bool:
        """Whether there is text that would be lost."""
        return self.text != self.saved_text


class Dictation(Showing, OpensReports):
    """Dictates for the current report; refuses to follow while text is unsaved (IRA-RC-04).

    Attributes:
        draft: The text of the report in the editor.
        recovered: Unsaved text of reports that others closed, by anchor: for the user to rescue.
    """

    def __init__(self, session: HubSession, store: ReportStore) -> None:
        super().__init__(session)
        self.recovered: dict[str, Draft] = {}
        self._store = store
        self._drafts: dict[str, Draft] = {}

    @property
    def draft(self) -> Draft:
        """The text of the report in the editor."""
        return self._drafts.get(self.shown.anchor, Draft()) if self.shown else Draft()

    @property
    def evidence(self) -> tuple[Resource, ...]:
        """What others shared for the report: Observations and ImagingSelections (IRA-RC-02)."""
        if self.shown is None:
            return ()
        return self.shown.resources("Observation") + self.shown.resources("ImagingSelection")

    async def may_follow(self, context: OpenContext) -> Answer:
        """Refuse another report while text is unsaved (IRA-RC-04)."""
        if self.draft.is_unsaved and not self._shows(context):
            return _REFUSED
        return await super().may_follow(context)

    async def closed(self, context: OpenContext, *, is_confirmed: bool) -> None:
        """Stop showing the report; text that nobody saved is kept aside (IRA-RC-01)."""
        await super().closed(context, is_confirmed=is_confirmed)
        if is_confirmed:
            draft = self._drafts.pop(context.anchor, Draft())
            if draft.is_unsaved:
                self.recovered[context.anchor] = draft

    async def nothing_current(self) -> Answer:
        """Show no report, unless text is unsaved: then it stays until saved or discarded."""
        return _REFUSED if self.draft.is_unsaved else await super().nothing_current()

    async def logout(self, code: str) -> Answer:
        """Refuse while text is unsaved (INF-02)."""
        return _REFUSED if self.draft.is_unsaved else await super().logout(code)

    def type(self, text: str) -> None:
        """Insert text at the caret.

        Raises:
            RefusedLocally: No report is shown.
        """
        draft = self.draft
        before, behind = draft.text[: draft.caret], draft.text[draft.caret :]
        self._set(replace(draft, text=before + text + behind, caret=draft.caret + len(text)))

    def insert_focused(self) -> str:
        """Insert the selected measurements at the caret; return what was inserted.

        Raises:
            RefusedLocally: No report is shown.
        """
        shown = self._require_shown("IRA-RC-01")
        values = (_quantity(shown.newest(key) or {}) for key in shown.selection)
        text = ", ".join(filter(None, values))
        if text:
            self.type(text)
        return text

    async def save(self) -> None:
        """Store the text as a preliminary report; then follow what had to wait.

        Raises:
            RefusedLocally: No report is shown.
            Exception: Whatever the store raises; the text stays unsaved.
        """
        shown, draft = self._require_shown("IRA-RC-01"), self.draft
        await self._store.put(self._report(shown, draft.text, "preliminary"))
        self._keep(shown.anchor, replace(self._drafts[shown.anchor], saved_text=draft.text))
        await self._follow_what_waited()

    async def discard(self) -> None:
        """Go back to the text that was saved last; then follow what had to wait."""
        draft = self.draft
        saved = draft.saved_text
        self._set(replace(draft, text=saved, caret=min(draft.caret, len(saved))))
        await self._follow_what_waited()

    async def sign(self) -> None:
        """Store the report as final, tell everybody, then close it: in this order (IRA-RC-03).

        Nobody is told of a final report that is not stored, and nothing is closed before everybody
        was told. After an error it can be called again.

        Raises:
            RefusedLocally: No report is shown, or it has no text.
            RequestRefused, NoAnswer: The others were not told, or the close was not accepted.
            Exception: Whatever the store raises.
        """
        shown, text = self._require_shown("IRA-RC-01"), self.draft.text
        if not text.strip():
            raise RefusedLocally("the report has no text", rule="IRA-RC-03")
        await self._store.put(self._report(shown, text, "final"))
        self._keep(shown.anchor, replace(self._drafts[shown.anchor], saved_text=text))
        await self.session.update(
            lambda newest: [self._report(newest, text, "final")], anchor=shown.anchor
        )
        await self.session.close(shown.anchor)

    async def _follow_what_waited(self) -> None:
        current = self.session.current
        if self.draft.is_unsaved:
            return
        if current is None:
            self.shown = None
            self.session.caught_up()
        elif self.shown is None or current.anchor != self.shown.anchor:
            await self.opened(current)
            self.session.caught_up()

    def _report(self, context: OpenContext, text: str, status: str) -> Resource:
        """Return the report whole, as a PUT has to be, with the shared Observations as results."""
        results = [{"reference": resource_key(it)} for it in context.resources("Observation")]
        report = {**(context.report or {}), "status": status, "conclusion": text}
        return {**report, "result": results} if results else report

    def _set(self, draft: Draft) -> None:
        self._keep(self._require_shown("IRA-RC-01").anchor, draft)

    def _keep(self, anchor: str, draft: Draft) -> None:
        if anchor not in self._drafts and len(self._drafts) >= MAX_DRAFTS:
            raise RefusedLocally("too many reports are suspended; close one", rule="TAB-01")
        self._drafts[anchor] = draft


def _quantity(observation: Mapping[str, Any]) -> str:
    quantity = observation.get("valueQuantity")
    if not isinstance(quantity, dict) or "value" not in quantity:
        return ""
    return f"{quantity['value']} {quantity.get('unit', '')}".strip()
