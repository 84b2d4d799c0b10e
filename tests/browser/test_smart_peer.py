"""A SMART client of others, npm's fhirclient in its browser build, launched by the demo's EHR."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from browser.npm_peers import peer_file

if TYPE_CHECKING:
    from browser.conftest import Demo
    from playwright.sync_api import Route

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

_PAGE = """<!doctype html><title>fhirclient</title>
<script src="/worklist/fhir-client.js"></script>
<script>
  FHIR.oauth2.init({
    clientId: "demo-worklist",
    scope: "launch user/Patient.rs fhircast/DiagnosticReport-open.read",
    redirectUri: location.origin + "/worklist",
  }).then(async client => {
    const bundle = await client.request("Patient?_count=1");
    const patient = bundle.entry[0].resource.resourceType;
    window.found = { patient, ...client.state.tokenResponse };
  }).catch(error => { window.found = { error: String(error) }; });
</script>"""


def follow_by_script(route: Route) -> None:
    """Go by a script where the server redirects to: routes do not see what a redirect asks for."""
    target = route.fetch(max_redirects=0).headers["location"]
    script = f"<script>location.replace({json.dumps(target)})</script>"
    route.fulfill(body=script, content_type="text/html")


def test_fhirclient_of_npm_launches_and_gets_the_session(demo: Demo) -> None:
    """SMART-01, SMART-03: EHR launch with PKCE; hub.url and hub.topic beside the token."""
    script = peer_file("fhirclient", "build/fhir-client.min.js")
    page = demo.window()
    page.route("**/auth/authorize?*", follow_by_script)
    page.route("**/worklist?*", lambda route: route.fulfill(body=_PAGE, content_type="text/html"))
    page.route(
        "**/worklist/fhir-client.js",
        lambda route: route.fulfill(body=script, content_type="text/javascript"),
    )
    page.goto(demo.launch_url("worklist"))
    page.wait_for_function("window.found")
    found = page.evaluate("window.found")
    assert found.get("error") is None
    assert found["patient"] == "Patient"
    assert found["hub.url"] == demo.hub.url
    assert found["hub.topic"] == demo.ehr_session()["hub.topic"]
