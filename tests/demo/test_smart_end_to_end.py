"""From the sign-in to a confirmed subscription, with the running demo and our own library."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest
from demo_process import demo, origin_of
from fhircast_subscribers import connect, smart
from smart_browser import REDIRECT, consent_form

if TYPE_CHECKING:
    from collections.abc import Iterator

EVENTS = ("Patient-open", "Patient-close")
SCOPES = ("fhircast/Patient-open.*", "fhircast/Patient-close.read", "online_access")


@pytest.fixture(scope="module")
def origin() -> Iterator[str]:
    with demo("--port", "0") as (_process, printed):
        yield origin_of(printed)


@pytest.mark.parametrize("is_ehr_launch", [True, False], ids=["ehr", "standalone"])
async def test_both_launches_end_in_a_confirmed_subscription(
    origin: str, is_ehr_launch: bool
) -> None:
    """SMART-01, 02, 03, 04, 05, 06, SCO-04: discovery, code, token, hub; again after a refresh."""
    async with httpx.AsyncClient(base_url=origin) as browser:
        await browser.post("/login", data={"user": "radiologist", "next": "/"})
        session = (await browser.get("/ehr/session")).json()
        fhir = session["iss"]
        server = smart.read_smart_configuration((await browser.get(fhir + smart.WELL_KNOWN)).json())
        request = smart.authorization_request(
            server.authorization_endpoint,
            client_id="demo-viewer" if is_ehr_launch else "my-app",
            redirect_uri=f"{origin}/viewer" if is_ehr_launch else REDIRECT,
            aud=fhir,
            scopes=SCOPES,
            launch=session["apps"]["viewer"]["launch"] if is_ehr_launch else "",
        )
        answer = await browser.get(request.url)
        if not is_ehr_launch:
            answer = await browser.post("/auth/consent", data=consent_form(answer.text))
        code = smart.read_redirect(answer.headers["location"], request)
        form = smart.token_form(code, request)
        for _ in range(2):
            told = (await browser.post(server.token_endpoint, data=form)).json()
            granted = smart.read_token_answer(told)
            assert granted.launch.topic == session["hub.topic"]
            async with connect(
                granted.launch.hub_url,
                granted.launch.topic,
                name="My client",
                token=granted.token,
                events=EVENTS,
            ) as joined:
                assert joined.sync.in_sync  # the hub has confirmed
            form = smart.refresh_form(granted.refresh_token, client_id=request.client_id)
