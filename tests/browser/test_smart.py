"""SMART in the browser: launch by the EHR and standalone, what is refused, and how it is told."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
from browser.steps import (
    accessions,
    draw_ruler,
    expect_all,
    expect_banner,
    expect_image,
    expect_sync,
    open_case,
    row,
)
from playwright.sync_api import Locator, Page, Route, expect

if TYPE_CHECKING:
    from browser.conftest import Demo

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

Three = Callable[[], tuple[Page, Page, Page]]
_ENDED = re.compile("You have been logged out|The sign-in has ended")
_READ = {
    *(f"DiagnosticReport-{verb}" for verb in ("open", "close", "update", "select")),
    *(f"{anchor}-{verb}" for anchor in ("ImagingStudy", "Patient") for verb in ("open", "close")),
    *("Home-open", "UserLogout", "SyncError"),
}
_REPORT, _STUDY = "DiagnosticReport", "ImagingStudy"
_WRITE = {
    "worklist": {
        *(f"{it}-{verb}" for it in (_REPORT, _STUDY) for verb in ("open", "close")),
        f"{_REPORT}-update",
    },
    "viewer": {
        *(f"{_REPORT}-open", f"{_STUDY}-open", "SyncError"),
        *(f"{_REPORT}-update", f"{_REPORT}-select"),
    },
    "dictation": {
        *(f"{_REPORT}-open", f"{_STUDY}-open"),
        *(f"{_REPORT}-update", f"{_REPORT}-close"),
    },
}


def test_from_the_sign_in_to_three_applications_on_one_patient(demo: Demo) -> None:
    """SMART-01, SMART-03: three EHR launches, one topic, no code or launch id in an address."""
    page = demo.window(signed_in=False)
    page.goto(demo.origin)
    page.locator("button[value=radiologist]").click()
    for app in ("worklist", "viewer", "dictation"):
        expect(in_pane(page, app, "sync-state")).to_have_attribute("data-state", "in-sync")
    in_pane(page, "worklist", "open").first.click()
    expect(in_pane(page, "viewer", "image-canvas")).to_have_attribute("data-ready", "true")
    names = {in_pane(page, app, "patient-name").inner_text() for app in ("worklist", "dictation")}
    assert len(names) == 1
    addresses = sorted(urlsplit(frame.url)[2:] for frame in page.frames)
    assert addresses == sorted((f"/{it}", "", "") for it in ("", "dictation", "viewer", "worklist"))


@pytest.mark.parametrize("app", ["worklist", "viewer", "dictation"])
def test_an_application_asks_for_what_it_needs_and_no_more(demo: Demo, app: str) -> None:
    """SCO-04, SMART-02, SMART-05: exactly its events, S256, state, and the EHR as audience."""
    page = demo.window()
    url = demo.launch_url(app)
    with page.expect_request("**/auth/authorize?*") as asked:
        page.goto(url)
    query = {name: it[0] for name, it in parse_qs(urlsplit(asked.value.url).query).items()}
    fhircast = {it for it in query["scope"].split() if it.startswith("fhircast/")}
    wanted = {f"fhircast/{it}.read" for it in _READ} | {
        f"fhircast/{it}.write" for it in _WRITE[app]
    }
    assert fhircast == wanted
    assert query["aud"] == f"{demo.origin}/fhir"
    assert query["code_challenge_method"] == "S256"
    assert len(query["state"]) >= 16
    expect_sync(page, "in-sync")


def test_a_student_is_told_what_is_not_allowed(demo: Demo) -> None:
    """SCO-02, SCO-03: follows, may change nothing; buttons say why, with the scope."""
    demo.sign_in("student")
    worklist, viewer, dictation = (demo.page(app) for app in ("worklist", "viewer", "dictation"))
    first = accessions(worklist)[0]
    words = "The EHR did not allow this application to "
    expect_banner(worklist, f"{words}open reports (fhircast/DiagnosticReport-open.write)")
    expect_banner(viewer, f"{words}share measurements (fhircast/DiagnosticReport-update.write)")
    expect_banner(dictation, f"{words}save reports (user/DiagnosticReport.cu, user/Observation.cu)")
    button = row(worklist, first).get_by_test_id("open")
    expect(button).to_be_disabled()
    expect(button).to_have_attribute("title", re.compile("did not allow .* open reports"))
    for name, page in {"worklist": worklist, "viewer": viewer, "dictation": dictation}.items():
        expect_sync(page, "in-sync")
        demo.shot(page, f"student-{name}")


def test_a_viewer_without_leave_to_share_follows_and_says_why_it_does_not_share(
    demo: Demo,
) -> None:
    """SCO-03, SCO-04: a scope that was not granted disables its button, and only that."""
    worklist, viewer = demo.page("worklist"), demo.window()
    viewer.route("**/auth/token", granting(r"fhircast/DiagnosticReport-update\.write"))
    viewer.goto(demo.launch_url("viewer"))
    expect_sync(viewer, "in-sync")
    case = accessions(worklist)[2]
    open_case(worklist, case)
    expect_all((worklist, viewer), case)
    expect_image(viewer)
    draw_ruler(viewer)
    expect(viewer.get_by_test_id("share")).to_be_disabled()
    expect(viewer.get_by_test_id("share")).to_have_attribute("title", re.compile("-update.write"))


def test_without_any_fhircast_scope_the_page_says_what_to_do(demo: Demo) -> None:
    """SMART-03: no hub.url, no session; the list is still there, and no spinner."""
    page = demo.window()
    page.route("**/auth/token", granting(r"fhircast/\S+"))
    page.goto(demo.launch_url("worklist"))
    expect_banner(page, "granted this application no FHIRcast scope")
    expect_banner(page, "Sign in as a user who may")
    expect_sync(page, "out")
    expect(row(page, accessions(page)[0]).get_by_test_id("open")).to_be_disabled()
    demo.shot(page, "no-scope")


def test_a_standalone_launch_asks_for_consent(demo: Demo) -> None:
    """SMART-01: opened directly: sign-in, consent, confirmed subscription; a clean address."""
    page = demo.window(signed_in=False)
    page.goto(f"{demo.origin}/viewer")
    page.locator("button[value=radiologist]").click()
    demo.shot(page, "consent")
    page.get_by_role("button", name="Allow").click()
    expect_sync(page, "in-sync")
    assert page.url == f"{demo.origin}/viewer"


def test_a_denied_consent_is_told_and_can_be_tried_again(demo: Demo) -> None:
    """SMART-01: access_denied in words; no launch begins again by itself."""
    page = demo.window()
    page.goto(f"{demo.origin}/viewer")
    page.get_by_role("button", name=re.compile("Deny|Do not")).click()
    expect_banner(page, "The EHR did not let this application in:")
    expect_sync(page, "out")
    assert page.url == f"{demo.origin}/viewer"
    demo.shot(page, "denied")
    page.get_by_test_id("sign-in").click()
    page.get_by_role("button", name="Allow").click()
    expect_sync(page, "in-sync")


def test_an_answer_with_another_state_is_not_taken(demo: Demo) -> None:
    """SMART-05: an answer to a launch that this window did not begin; no token is asked for."""
    page = demo.window()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(urlsplit(request.url).path))
    page.goto(f"{demo.origin}/viewer?code=stolen&state=of-somebody-else")
    expect_banner(page, "does not belong to this window (state)")
    assert page.url == f"{demo.origin}/viewer"
    assert "/auth/token" not in asked


def test_an_unknown_ehr_cannot_launch_the_page(demo: Demo) -> None:
    """SMART-05: `iss` decides where the browser and the token go; only the own EHR is known."""
    page = demo.window()
    page.goto(f"{demo.origin}/viewer?iss=https://ehr.example/fhir&launch=1")
    expect_banner(page, "An EHR that this application does not know")
    assert page.url == f"{demo.origin}/viewer"


def test_a_code_that_is_good_no_more_is_told(demo: Demo) -> None:
    """SMART-05: a code used before, or too old, ends the launch with the server's words."""
    page = demo.window()

    def use_the_code_first(route: Route) -> None:
        route.fetch()
        route.continue_()

    page.route("**/auth/token", use_the_code_first)
    page.goto(demo.launch_url("viewer"))
    expect_banner(page, "The EHR did not let this application in:")
    page.unroute("**/auth/token")
    page.get_by_test_id("sign-in").click()
    page.get_by_role("button", name="Allow").click()
    expect_sync(page, "in-sync")


@pytest.mark.parametrize("change", [{"expiresAt": 1}, {"accessToken": "refused"}])
def test_a_fresh_token_is_fetched_in_time_and_after_a_401(
    demo: Demo, change: dict[str, Any]
) -> None:
    """SMART-04: the refresh token brings a new one; a reload needs no new launch."""
    page = demo.page("worklist")
    expect_sync(page, "in-sync")
    before = change_grant(page, change)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(urlsplit(request.url).path))
    page.reload()
    expect_sync(page, "in-sync")
    assert accessions(page)
    after = grant_of(page)
    assert after["accessToken"] not in {before["accessToken"], "refused"}
    assert after["refreshToken"] != before["refreshToken"]
    assert after["topic"] == before["topic"]
    assert "/auth/authorize" not in asked
    assert asked.count("/auth/token") == 1


def test_a_reload_needs_no_new_launch(demo: Demo) -> None:
    """SMART-01: the token in the window's own storage is still good."""
    page = demo.page("viewer")
    expect_sync(page, "in-sync")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(urlsplit(request.url).path))
    page.reload()
    expect_sync(page, "in-sync")
    assert not [path for path in asked if path.startswith("/auth/")]


def test_pages_of_a_session_that_has_ended_say_so(demo: Demo, three: Three) -> None:
    """SMART-01, INF-01: after a sign-out nothing follows silently; a new topic for the next."""
    pages = three()
    before = demo.ehr_session()["hub.topic"]
    demo.sign_out()
    demo.sign_in("student")
    assert demo.ehr_session()["hub.topic"] != before
    for page in pages:
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        expect(page.get_by_test_id("banner")).to_contain_text(_ENDED)
        expect_sync(page, "out")
        assert grant_of(page) is None


def test_a_pane_of_an_ended_session_leads_back_to_the_ehr(demo: Demo) -> None:
    """SMART-01: no sign-in within a frame: the EHR's own page launches anew."""
    page = demo.page("")
    viewer = page.frame_locator('[data-testid="pane-viewer"]')
    expect(viewer.get_by_test_id("sync-state")).to_have_attribute("data-state", "in-sync")
    demo.sign_out()
    page.frame(name="viewer").evaluate("document.dispatchEvent(new Event('visibilitychange'))")  # type: ignore[union-attr]
    expect(viewer.get_by_test_id("banner")).to_contain_text(_ENDED)
    viewer.get_by_test_id("sign-in").click()
    expect(page.locator("button[value=radiologist]")).to_be_visible()


# ------------------------------------------------------------------------------------- helpers


def in_pane(page: Page, app: str, testid: str) -> Locator:
    return page.frame_locator(f'[data-testid="pane-{app}"]').get_by_test_id(testid)


def granting(without: str) -> Callable[[Route], None]:
    """Return a handler that takes scopes out of the answer, and the session with the last."""

    def answer(route: Route) -> None:
        told = route.fetch().json()
        told["scope"] = " ".join(re.sub(without, "", told["scope"]).split())
        if "fhircast/" not in told["scope"]:
            del told["hub.url"], told["hub.topic"]
        route.fulfill(json=told)

    return answer


def grant_of(page: Page) -> Any:
    """Return what the page keeps of its grant, None if nothing."""
    script = "Object.entries(sessionStorage).find(([key]) => /^smart[.].*[.]grant$/.test(key))?.[1]"
    return json.loads(page.evaluate(script) or "null")


def change_grant(page: Page, change: dict[str, Any]) -> Any:
    """Put other values into the grant that a page keeps; return what it was."""
    before = grant_of(page)
    script = """grant => Object.keys(sessionStorage).filter(key => key.endsWith('.grant'))
      .forEach(key => sessionStorage.setItem(key, grant))"""
    page.evaluate(script, json.dumps({**before, **change}))
    return before
