"""Many who ask the same at once get one answer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, TypeVar

from fhircast_hub.protocol.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

V = TypeVar("V")


class Joined(Generic[V]):
    """Questions that are under way, by what they are about.

    Args:
        max_questions: Different ones at a time; beyond it the hub is too busy to ask.
    """

    def __init__(self, max_questions: int) -> None:
        self._max_questions = max_questions
        self._under_way: dict[str, asyncio.Future[V]] = {}

    async def ask(self, about: str, question: Callable[[], Awaitable[V]]) -> V:
        """Return the answer to a question, asking it if nobody does at the moment.

        Raises:
            Unavailable: Too many questions are under way, or who asked this one was stopped.
        """
        asked = self._under_way.get(about)
        if asked is not None:
            return await asyncio.shield(asked)
        if len(self._under_way) >= self._max_questions:
            raise Unavailable("too many tokens are being judged at once", rule="SMART-07")
        answer = self._under_way[about] = asyncio.get_running_loop().create_future()
        try:
            found = await question()
            answer.set_result(found)
        except BaseException as error:
            is_ours = isinstance(error, Exception)
            answer.set_exception(error if is_ours else Unavailable("stopped", rule="SMART-07"))
            answer.exception()  # seen: there may be nobody who waits for it
            raise
        finally:
            del self._under_way[about]
        return found
