"""A session under attack: its hub, its owner, its victim, and what must hold after each attack."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from builders import TOPIC, item
from issuing import EC, RSA, jwk, jwks, signed
from wire_messages import ALL_EVENTS, codings, marker, request

if TYPE_CHECKING:
    from pathlib import Path

    import httpx
    from builders import Json
    from fhircast_conformance.wire import Socket, Wire
    from hub_server import RunningHub, StartHub

ISSUER = "https://as.example"
AUDIENCE = "hub"
PATIENT: Json = {
    "resourceType": "Patient",
    "id": "4438001",
    "name": [{"family": "Smith-Jones"}],
    "identifier": [{"system": "urn:oid:2.999.1.5", "value": "M-771-4438"}],
}
SHORT = {
    "header_timeout_seconds": "0.3",
    "body_timeout_seconds": "0.3",
    "write_timeout_seconds": "0.3",
    "reconnect_grace_seconds": "0",
}
"""Deadlines that a test can wait for."""

SECRETS = ("Smith-Jones", "4438001", "M-771-4438")


def genuine(scope: Any = "fhircast/*.*", **claims: Any) -> str:
    """A token that the issuer of the attacked hub signs."""
    usual = {"iss": ISSUER, "aud": AUDIENCE, "sub": "owner", "client_id": "viewer", "scope": scope}
    return signed(RSA, "RS256", kid="ours", **{**usual, **claims})


@dataclass(frozen=True, slots=True)
class Attacked:
    """A session with a patient open.

    Attributes:
        hub: Believes tokens of one issuer, which has an RSA and an EC key.
        owner: May do everything.
        victim: Follows the session and gets every event of it.
        before: The current context, as it was before the attack.
        secrets: What no answer to an attacker may hold.
    """

    hub: RunningHub
    owner: Wire
    victim: Socket
    before: Json
    secrets: tuple[str, ...] = field(repr=False)

    @property
    def endpoint_id(self) -> str:
        """The unguessable part of the victim's endpoint."""
        return self.victim.endpoint.rsplit("/", 1)[-1]

    def is_refused(self, answer: httpx.Response, *statuses: int) -> None:
        """Check an answer: its status, words in plain text, and nothing secret in it."""
        assert answer.status_code in statuses, (answer.status_code, answer.text)
        assert answer.headers["content-type"].startswith("text/plain")
        reason, rule = answer.text.splitlines()
        assert reason
        assert rule
        self.tells_nothing(str(answer.headers) + answer.text)

    def tells_nothing(self, text: str) -> None:
        """Check that nothing secret is in a text."""
        assert [it for it in self.secrets if it in text] == []

    async def is_unharmed(self) -> None:
        """Check that the context is what it was, and that the victim was sent nothing."""
        assert await self.owner.context(TOPIC) == self.before
        sent = marker()
        assert (await self.owner.post(sent)).status_code == 202
        assert (await self.victim.followed())["id"] == sent["id"]

    async def withstood(self, answer: httpx.Response, *statuses: int) -> None:
        """Check an answer, and that nothing came of its request."""
        self.is_refused(answer, *statuses)
        await self.is_unharmed()

    async def is_unharmed_but_told(self, count: int) -> None:
        """Check the same, but for so many SyncErrors about the attacker's own subscription."""
        for _ in range(count):
            codes = codings(await self.victim.followed())
            assert codes["subscribername"].startswith("viewer-")
        await self.is_unharmed()

    async def at_every_door(self, wire: Wire, topic: str = TOPIC) -> list[httpx.Response]:
        """Ask for everything that can be asked for."""
        return [
            await wire.subscribe(topic, ["Patient-open"]),
            await wire.subscribe(topic, ["Patient-open"], hub__channel__endpoint=self.endpoint_id),
            await wire.unsubscribe(topic, self.victim.endpoint),
            await wire.post(another_patient(topic=topic)),
            await wire.get(topic),
        ]


def another_patient(**fields: Any) -> Json:
    """An open that would show the attacker's patient to the victim."""
    return request("Patient-open", item({"resourceType": "Patient", "id": "evil"}), **fields)


async def attacked_session(start_hub: StartHub, folder: Path, **settings: str) -> Attacked:
    """Start a hub with tokens and open a patient in a session that a victim follows."""
    keys = folder / "jwks.json"
    keys.write_bytes(jwks(jwk(RSA, "ours", "RS256"), jwk(EC, "curve", "ES256")))
    trusts = {"auth": "jwt", "jwks_file": str(keys), "issuer": ISSUER, "audience": AUDIENCE}
    hub = await start_hub(**{**trusts, **settings})
    token = genuine()
    owner = await hub.client(token)
    victim = await owner.join(TOPIC, ALL_EVENTS, name="Victim")
    assert (await owner.post(request("Patient-open", item(PATIENT)))).status_code == 202
    await victim.followed()
    secrets = (*SECRETS, TOPIC, token, victim.endpoint.rsplit("/", 1)[-1])
    return Attacked(hub, owner, victim, await owner.context(TOPIC), secrets)
