"""A site's own rules: they take away, never give, and a fault of theirs is a refusal."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from builders import TOPIC
from fhircast_hub.config import SettingError
from fhircast_hub.security.policy import ALLOW_ALL, Action, load_policy
from issuing import signed
from wire_messages import ALL_EVENTS, only_marker_comes, open_request, patient_request

if TYPE_CHECKING:
    from fhircast_hub.security.grant import Grant
    from hub_server import RunningHub, StartHub

KEY = "a key for tests only, 32 characters and more"


class NightShift:
    """A policy for these tests: nobody closes patients, interns read no reports."""

    asked: ClassVar[list[tuple[str, Action, str]]] = []

    def may(self, grant: Grant, action: Action, topic: str) -> bool:
        self.asked.append((grant.client_name, action, topic))
        if topic.startswith("closed"):
            return False
        if action.event == "patient-close":
            return action.verb != "publish"
        return not (grant.client_name == "intern" and action.event.startswith("diagnosticreport"))


class Broken:
    """A policy that fails."""

    def may(self, grant: Grant, action: Action, topic: str) -> bool:
        raise ValueError(f"no {topic}")


class Vague:
    """A policy that does not say True."""

    def may(self, grant: Grant, action: Action, topic: str) -> str:
        return "yes"


class Waiting:
    """A policy that would have to be waited for."""

    async def may(self, grant: Grant, action: Action, topic: str) -> bool:
        return True


class Needy:
    """A policy that cannot be made from a name."""

    def __init__(self, rules: str) -> None:
        self.rules = rules


ready_made = NightShift()
no_policy = 7


async def ruled(start_hub: StartHub, policy: str) -> RunningHub:
    return await start_hub(auth="jwt", jwt_key=KEY, policy=f"{__name__}:{policy}")


def token(client_id: str = "viewer", scope: str = "fhircast/*.*", **claims: Any) -> str:
    return signed(KEY, "HS256", client_id=client_id, scope=scope, **claims)


async def test_what_the_policy_refuses_is_403(start_hub: StartHub) -> None:
    """SEC-04, SCO-03: at every door, in words; nobody hears of it."""
    hub = await ruled(start_hub, "NightShift")
    wire = await hub.client(token())
    socket = await wire.join(TOPIC, ALL_EVENTS)
    for answer in (
        await wire.post(patient_request(event="Patient-close")),
        await wire.subscribe("closed"),
        await wire.unsubscribe("closed", socket.endpoint),
        await wire.get("closed"),
    ):
        assert answer.status_code == 403
        assert answer.text.startswith("the policy of this site refuses to ")
    await only_marker_comes(wire, socket)


async def test_events_are_narrowed_by_the_policy(start_hub: StartHub) -> None:
    """CONF-02, SCO-02, CTX-08: in the subscription, what it delivers, and the GET."""
    hub = await ruled(start_hub, "ready_made")
    viewer, intern = await hub.client(token()), await hub.client(token("intern"))
    socket = await intern.join(TOPIC, ["DiagnosticReport-open", "Patient-open"])
    assert socket.confirmation["hub.events"] == "Patient-open"
    await viewer.post(open_request())
    assert (await socket.next())["event"]["hub.event"] == "Patient-open"
    assert (await intern.context(TOPIC))["context.type"] == "ImagingStudy"
    assert (await viewer.context(TOPIC))["context.type"] == "DiagnosticReport"


async def test_the_policy_cannot_give(start_hub: StartHub) -> None:
    """SCO-03, SMART-08: it is asked last."""
    hub = await ruled(start_hub, "NightShift")
    wire = await hub.client(token(scope="fhircast/*.read"))
    await wire.subscribe(TOPIC)
    NightShift.asked.clear()
    assert (await wire.post(patient_request())).status_code == 403
    assert NightShift.asked == []


async def test_the_policy_is_asked_about_each_action(start_hub: StartHub) -> None:
    """Its words: the verb, the event in lower case, the topic."""
    hub = await ruled(start_hub, "NightShift")
    wire = await hub.client(token())
    NightShift.asked.clear()
    endpoint = (await wire.subscribe(TOPIC, ["Patient-open"])).json()["hub.channel.endpoint"]
    await wire.post(patient_request())
    await wire.get(TOPIC)
    await wire.unsubscribe(TOPIC, endpoint)
    assert [action for _, action, _ in NightShift.asked] == [
        Action("subscribe"),
        Action("read", "patient-open"),
        Action("publish", "patient-open"),
        Action("read"),
        Action("read", "patient-open"),
        Action("read", "patient-update"),
        Action("unsubscribe"),
    ]
    assert {(client, topic) for client, _, topic in NightShift.asked} == {("viewer", TOPIC)}


@pytest.mark.parametrize("policy", ["Broken", "Vague"])
async def test_a_policy_that_fails_refuses(
    start_hub: StartHub, caplog: pytest.LogCaptureFixture, policy: str
) -> None:
    """SEC-03, SEC-04: and the log gets the kind of the fault, not its text."""
    caplog.set_level(logging.INFO)
    hub = await ruled(start_hub, policy)
    assert (await (await hub.client(token())).subscribe(TOPIC)).status_code == 403
    assert ("ValueError" in caplog.text) is (policy == "Broken")
    assert TOPIC not in caplog.text


@pytest.mark.parametrize(
    "name",
    [
        "NightShift",
        f"{__name__}:",
        ":NightShift",
        f"{__name__}:missing",
        f"{__name__}:Waiting",
        f"{__name__}:Needy",
        f"{__name__}:no_policy",
        "no.such.module:Policy",
        f"{__name__}:a b",
    ],
)
def test_a_policy_that_is_none_stops_the_start(name: str) -> None:
    """In one line that names the setting."""
    with pytest.raises(SettingError) as refused:
        load_policy(name)
    assert refused.value.variable == "FHIRCAST_POLICY"
    assert "\n" not in str(refused.value)


def test_without_a_policy_everything_is_allowed() -> None:
    assert load_policy("") is ALLOW_ALL


async def test_tokens_for_every_session_can_be_refused(start_hub: StartHub) -> None:
    """SMART-08, SEC-04: with FHIRCAST_REQUIRE_TOPIC each token opens one session."""
    hub = await start_hub(auth="jwt", jwt_key=KEY, require_topic="1")
    wire = await hub.client(token())
    answers = [await wire.subscribe(TOPIC), await wire.post(open_request()), await wire.get(TOPIC)]
    assert {it.status_code for it in answers} == {403}
    assert {it.text.splitlines()[0] for it in answers} == {
        "hub.topic: the token is bound to no topic"
    }
    bound = await hub.client(token(**{"hub.topic": TOPIC}))
    assert (await bound.subscribe(TOPIC)).status_code == 202
