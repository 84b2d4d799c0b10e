"""The SMART client library of the Python world, against the demo as a process.

Only its user's browser is played: cookies, the consent form, and the redirect that is read and not
followed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest
from demo_process import demo, origin_of, value_of
from fhirclient.client import FHIRClient  # type: ignore[import-untyped]  # it has no types
from fhirclient.models.patient import Patient  # type: ignore[import-untyped]
from smart_browser import REDIRECT, consent_form

if TYPE_CHECKING:
    from collections.abc import Iterator

SCOPE = "openid fhirUser offline_access user/*.rs fhircast/*.*"


@pytest.fixture(scope="module")
def printed() -> Iterator[str]:
    with demo("--port", "0") as (_process, text):
        yield text


@pytest.fixture
def browser(printed: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=origin_of(printed)) as client:
        client.post("/login", data={"user": "radiologist", "next": "/"})
        yield client


def client_of(printed: str, app_id: str, redirect: str, **more: str) -> Any:
    settings = {
        "app_id": app_id,
        "api_base": f"{origin_of(printed)}/fhir",
        "redirect_uri": redirect,
        "scope": SCOPE,
        **more,
    }
    client = FHIRClient(settings=settings)
    assert not client.prepare()  # it found the endpoints, and has to be authorized
    return client


def is_in(client: Any, browser: httpx.Client, printed: str) -> None:
    """It reads a patient, and knows the session of the user's other applications."""
    patient = Patient.read("carla-invented", client.server)
    assert client.human_name(patient.name[0])
    session = browser.get("/ehr/session").json()
    assert client.launch_context["hub.topic"] == session["hub.topic"]
    assert client.launch_context["hub.url"] == value_of(printed, "hub.url")


def test_ehr_launch(printed: str, browser: httpx.Client) -> None:
    """SMART-01, SMART-03, SMART-05: as the viewer that the EHR launches."""
    launch = browser.get("/ehr/session").json()["apps"]["viewer"]["launch"]
    client = client_of(printed, "demo-viewer", f"{origin_of(printed)}/viewer", launch_token=launch)
    came_back = browser.get(client.authorize_url)
    client.handle_callback(came_back.headers["location"])
    is_in(client, browser, printed)


def test_standalone_launch_and_refresh(printed: str, browser: httpx.Client) -> None:
    """SMART-01, SMART-03, SMART-05: the user allows it; later it refreshes by itself."""
    client = client_of(printed, "my-app", REDIRECT)
    page = browser.get(client.authorize_url)
    came_back = browser.post("/auth/consent", data=consent_form(page.text))
    client.handle_callback(came_back.headers["location"])
    is_in(client, browser, printed)
    assert client.reauthorize()
    is_in(client, browser, printed)


def test_refusal_by_the_user(printed: str, browser: httpx.Client) -> None:
    """SMART-01: it says so, in the server's words."""
    client = client_of(printed, "my-app", REDIRECT)
    page = browser.get(client.authorize_url)
    came_back = browser.post("/auth/consent", data=consent_form(page.text, "deny"))
    with pytest.raises(Exception, match="did not allow"):
        client.handle_callback(came_back.headers["location"])
