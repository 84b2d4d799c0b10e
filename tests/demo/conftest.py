"""The demo's parts joined as the launcher joins them, without a socket."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest
from fhircast_demo.app import create_demo_app
from fhircast_demo.cases import Cases, load_cases
from fhircast_demo.ehr import FhirStore, fhir_app, seed
from fhircast_demo.images import dicomweb_app
from fhircast_demo.smart import DevelopmentServer, SmartSettings
from fhircast_demo.smart.keys import keys
from smart_browser import HUB_URL as SMART_HUB_URL
from smart_browser import ORIGIN, ClockAtHand
from starlette.applications import Starlette
from starlette.routing import Mount

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

BASE = "http://demo.test"
HUB_URL = "http://demo.test/api/hub"


@pytest.fixture(scope="session")
def cases() -> Cases:
    return load_cases()


@pytest.fixture
def store(cases: Cases) -> FhirStore:
    store = FhirStore()
    seed(store, cases, dicomweb_base=f"{BASE}/dicomweb")
    return store


@pytest.fixture
async def client(cases: Cases, store: FhirStore) -> AsyncIterator[httpx.AsyncClient]:
    app = Starlette(
        routes=[
            Mount("/fhir", fhir_app(store, hub_url=HUB_URL, max_body_bytes=200_000)),
            Mount("/dicomweb", dicomweb_app(cases)),
        ]
    )
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url=BASE) as client:
        yield client


@pytest.fixture
def clock() -> ClockAtHand:
    return ClockAtHand()


@pytest.fixture
def smart(clock: ClockAtHand) -> DevelopmentServer:
    settings = SmartSettings(ORIGIN, SMART_HUB_URL, "secret-of-the-service")
    return DevelopmentServer(settings, keys(), clock)


@pytest.fixture
async def browser(smart: DevelopmentServer) -> AsyncIterator[httpx.AsyncClient]:
    """A browser with its own cookies; it follows no redirect by itself."""
    transport = httpx.ASGITransport(create_demo_app(smart))
    async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as client:
        yield client
