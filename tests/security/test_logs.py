"""What the log does not tell: patients, tokens, topics, endpoints."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Literal

import pytest
from builders import PATIENT, TOPIC, item
from fhircast_hub.cli.token import mint_token
from fhircast_hub.observability.logs import configure, says_something
from wire_messages import ALL_EVENTS, codings, open_request, request, sync_error_request

if TYPE_CHECKING:
    from hub_server import StartHub

KEY = "a key for tests only, 32 characters and more"


def test_a_refused_upgrade_is_no_error_of_the_server(caplog: pytest.LogCaptureFixture) -> None:
    """D-43: the server logs one for each, and who guesses endpoints could fill the log."""
    server = logging.getLogger("uvicorn.error")
    server.addFilter(says_something)
    try:
        server.error("ASGI callable returned without completing handshake.")
        server.error("something else")
    finally:
        server.removeFilter(says_something)
    assert [it.getMessage() for it in caplog.records] == ["something else"]


def told(capsys: pytest.CaptureFixture[str], log_format: Literal["text", "json"]) -> list[str]:
    """What is written of one record of each kind, at the loudest level."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        configure(log_format, "debug")
        logging.getLogger("fhircast_hub.hub").debug("of %s", "ours")
        logging.getLogger("websockets.server").debug("< TEXT '%s'", "Smith-Jones")
        logging.getLogger("httpx").info("GET %s", "/Smith-Jones")
        logging.getLogger("asyncio").warning("strange: %s\ntask: Smith-Jones", 1)
        try:
            raise ValueError("Smith-Jones")
        except ValueError:
            logging.getLogger("uvicorn.error").exception("failed %s", "Smith-Jones")
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
    return capsys.readouterr().err.splitlines()


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_library_tells_warnings_only_and_none_of_its_values(
    log_format: Literal["text", "json"], capsys: pytest.CaptureFixture[str]
) -> None:
    """SEC-03: frames, URLs and the texts of errors are what must not be told."""
    lines = told(capsys, log_format)
    assert [it for it in lines if "Smith-Jones" in it] == []
    assert len(lines) == 3
    for part, line in zip(("of ours", "strange: %s", "ValueError"), lines, strict=True):
        assert part in line


async def test_a_session_leaves_no_secret_in_the_log(
    start_hub: StartHub, caplog: pytest.LogCaptureFixture
) -> None:
    """House rule: neither accepted nor refused, neither lost nor denied, down to debug."""
    caplog.set_level(logging.DEBUG, "fhircast_hub")
    hub = await start_hub(auth="jwt", jwt_key=KEY, reconnect_grace_seconds="0")
    token = mint_token(KEY, scope="fhircast/*.*", subject="u", client_id="c", seconds=60)
    wire = await hub.client(token)
    viewer = await wire.join(TOPIC, ALL_EVENTS, name="Viewer")
    lost = await wire.join(TOPIC, ALL_EVENTS, name="Dictation")
    secrets = ["Smith-Jones", "4438001", TOPIC, token, KEY]
    secrets += [it.endpoint.rsplit("/", 1)[-1] for it in (viewer, lost)]
    patient = {**PATIENT, "id": "4438001", "name": [{"family": "Smith-Jones"}]}
    for event in (
        request("Patient-open", item(patient)),
        request("Patient-open", item({**patient, "resourceType": "Smith-Jones"}, "patient")),
        sync_error_request("4438001"),
        {**open_request(), "timestamp": "Smith-Jones"},
    ):
        await wire.post(event)
    await wire.post(b'{"Smith-Jones')
    await viewer.acknowledge(await viewer.next(), "409")
    await viewer.send('{"Smith-Jones')
    await lost.abort()
    names = {codings(await viewer.next())["subscribername"] for _ in range(3)}
    assert names == {"Viewer", "Dictation"}
    await wire.unsubscribe(TOPIC, viewer.endpoint)
    assert any("out of sync" in it.getMessage() for it in caplog.records)
    assert [it for it in secrets if it in caplog.text] == []
