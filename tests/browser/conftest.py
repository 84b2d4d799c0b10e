"""A real hub process, the demo's pages as another one, and a real Chromium."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from fhircast_demo import app
from playwright.sync_api import Browser, BrowserContext, Page, Route, sync_playwright

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

STATIC = Path(app.__file__).parent / "pages" / "static"
COOKIE = "fhircast_demo_session"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
SHOTS = os.environ.get("SCREENSHOTS_DIR", "")
_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def wait_for(url: str, seconds: float = 60) -> None:
    """Wait until a server answers."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            httpx.get(url, timeout=1)
        except httpx.HTTPError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


class HubProcess:
    """`fhircast serve` as a process that can be killed and started again on the same port."""

    def __init__(self, key: str) -> None:
        self.port = 0
        self.key = key
        self._process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api/hub"

    def start(self) -> None:
        """Start it on a free port, or again on the one it had."""
        settings = {"--port": str(self.port), "--auth": "jwt", "--jwt-key": self.key}
        settings["--allowed-origins"] = "*"
        flags = [part for pair in settings.items() for part in pair]
        command = [sys.executable, "-m", "fhircast_hub", "serve", *flags]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        origin = _printed_origin(iter(self._process.stdout.readline, ""))
        self.port = int(origin.rpartition(":")[2])
        wait_for(f"{origin}/livez")

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


class Demo:
    """The demo's pages on a hub of their own, each page in a window of its own.

    A page that shares its window with others is a hidden tab: Chromium then draws it once a second.
    All windows are signed in as the same person, in one login session.
    """

    def __init__(self, browser: Browser, origin: str, hub: HubProcess) -> None:
        self.origin = origin
        self.hub = hub
        self._browser = browser
        self._contexts: list[BrowserContext] = []
        self._http = httpx.Client(base_url=origin)

    def sign_in(self, user: str) -> None:
        """Begin a login session; windows opened from now on belong to it."""
        assert self._http.post("/login", data={"user": user, "next": "/"}).status_code == 303

    def sign_out(self) -> None:
        assert self._http.post("/logout").status_code == 303

    def ehr_session(self) -> dict[str, Any]:
        """Return what the EHR's page is told, with fresh launches."""
        if COOKIE not in self._http.cookies:
            self.sign_in("radiologist")
        session: dict[str, Any] = self._http.get("/ehr/session").json()
        return session

    def own_client(self) -> dict[str, Any]:
        """Return token, hub.url and hub.topic for a client of one's own."""
        self.ehr_session()
        given: dict[str, Any] = self._http.post("/ehr/own-client").json()
        return given

    def launch_url(self, app: str) -> str:
        """Return the address of an EHR launch, good for one time."""
        return f"{self.origin}{self.ehr_session()['apps'][app]['url']}"

    def window(self, *, signed_in: bool = True) -> Page:
        """Return an empty page in a window of its own."""
        context = self._browser.new_context(viewport={"width": 1100, "height": 800})
        context.set_default_timeout(15_000)
        self._contexts.append(context)
        if signed_in:
            self.ehr_session()
            cookie = self._http.cookies[COOKIE]
            context.add_cookies([{"name": COOKIE, "value": cookie, "url": self.origin}])
        return context.new_page()

    def page(self, app: str) -> Page:
        """Launch an application from the EHR, or open the EHR's page ("")."""
        page = self.window()
        page.goto(self.launch_url(app) if app else f"{self.origin}/")
        return page

    def close(self) -> None:
        self._http.close()
        for context in self._contexts:
            context.close()

    def shot(self, page: Page, name: str) -> None:
        """Keep a picture if SCREENSHOTS_DIR names a folder."""
        if SHOTS:
            page.screenshot(path=str(Path(SHOTS) / f"{name}.png"))


# Not for the whole session: Playwright's loop would be in the way of asynchronous tests after it.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine (Debian: apt install chromium)")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=_FLAGS)
        yield started
        started.close()


@pytest.fixture(scope="module")
def blank(browser: Browser) -> Iterator[Page]:
    """An empty page, served by nobody, that may import the modules of the demo's pages."""

    def serve(route: Route) -> None:
        name = route.request.url.rsplit("/", 1)[-1]
        if name == "blank":
            route.fulfill(body="<!doctype html>", content_type="text/html")
        else:
            route.fulfill(path=STATIC / name, content_type="text/javascript")

    context = browser.new_context()
    context.route("**/*", serve)
    page = context.new_page()
    page.goto("http://pages.example/blank")
    yield page
    context.close()


@pytest.fixture
def hub() -> Iterator[HubProcess]:
    process = HubProcess(secrets.token_urlsafe(32))
    process.start()
    yield process
    process.kill()


@pytest.fixture
def demo(browser: Browser, hub: HubProcess) -> Iterator[Demo]:
    flags = ["--port", "0", "--hub", hub.url, "--jwt-key", hub.key]
    command = [sys.executable, "-u", "-m", "fhircast_hub", "demo", *flags]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    origin = _printed_origin(iter(process.stdout.readline, ""))
    wait_for(origin)
    demo = Demo(browser, origin, hub)
    yield demo
    demo.close()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)


def _printed_origin(lines: Iterator[str]) -> str:
    for line in lines:
        found = re.search(r"http://127\.0\.0\.1:\d+", line)
        if found:
            return found[0]
    raise AssertionError("the demo said no URL")


@pytest.fixture
def three(demo: Demo) -> Callable[[], tuple[Page, Page, Page]]:
    """Open worklist, viewer and dictation, each in sync."""

    def open_pages() -> tuple[Page, Page, Page]:
        pages = demo.page("worklist"), demo.page("viewer"), demo.page("dictation")
        for page in pages:
            page.wait_for_selector('[data-testid="sync-state"][data-state="in-sync"]')
        return pages

    return open_pages
