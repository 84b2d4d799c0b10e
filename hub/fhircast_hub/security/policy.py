"""A site's own rules on top of topics and scopes: who may do what, in which session.

    FHIRCAST_POLICY=package.module:attribute

names an object with the method `may`, or a class without arguments whose objects have it. It is
asked after the token was verified and its topic and scopes allowed the action; it can take away,
never give.
"""

from __future__ import annotations

import importlib
import inspect
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, cast

from fhircast_hub.config import SettingError, variable_of

if TYPE_CHECKING:
    from fhircast_hub.security.grant import Grant

logger = logging.getLogger(__name__)

Verb = Literal["subscribe", "unsubscribe", "read", "publish"]


@dataclass(frozen=True, slots=True)
class Action:
    """What a caller wants to do.

    Attributes:
        verb: `subscribe` and `unsubscribe` in a session; `read` an event of it, by subscription or
            GET; `publish` an event.
        event: For `read` and `publish`: the event's name in lower case, as names have no case. ""
            for the rest, and for the `read` that a GET is as a whole.
    """

    verb: Verb
    event: str = ""


class Policy(Protocol):
    """A site's own rules."""

    def may(self, grant: Grant, action: Action, topic: str) -> bool:
        """Tell whether a caller may do this; anything but True refuses.

        Called on the event loop, often several times a request: it must not wait for anything.

        Args:
            grant: Who calls, and what the token allows.
            action: What the caller wants to do.
            topic: In which session.
        """
        ...


class AllowAll:
    """The policy of a hub without one."""

    def may(self, grant: Grant, action: Action, topic: str) -> bool:
        """See `Policy.may`."""
        return True


ALLOW_ALL = AllowAll()


def may(policy: Policy, grant: Grant, action: Action, topic: str) -> bool:
    """Ask a policy; one that fails has refused, and the log gets the kind of its fault."""
    try:
        answer: object = policy.may(grant, action, topic)
    except Exception as error:
        logger.error("the policy failed and refuses: %s", type(error).__name__)
        return False
    return answer is True


def load_policy(name: str) -> Policy:
    """Return the policy that a site names, or the one that allows everything for "".

    Raises:
        SettingError: It cannot be imported, or has no method `may` that answers at once.
    """
    if not name:
        return ALLOW_ALL
    module, _, attribute = name.partition(":")
    if not (module and attribute.isidentifier()):
        raise _unusable(name, "package.module:attribute")
    try:
        found: object = getattr(importlib.import_module(module), attribute)
        policy: object = found() if inspect.isclass(found) else found
    except Exception as error:  # whatever a site's module raises when it is imported
        raise _unusable(
            name, f"what can be imported; this fails with {type(error).__name__}"
        ) from None
    asked = getattr(policy, "may", None)
    if not callable(asked) or inspect.iscoroutinefunction(asked):
        raise _unusable(name, "an object with a method may(grant, action, topic), not async")
    return cast("Policy", policy)


def _unusable(name: str, allowed: str) -> SettingError:
    return SettingError(variable_of("policy"), name, allowed)
