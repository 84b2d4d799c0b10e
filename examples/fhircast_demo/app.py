"""The demo's own server: pages, sign-in and launches, FHIR store and images on one origin."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.responses import FileResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from fhircast_demo.cases import load_cases
from fhircast_demo.ehr import FhirStore, fhir_app, seed
from fhircast_demo.images import dicomweb_app
from fhircast_demo.smart.clients import APPS
from fhircast_demo.smart.documents import security
from fhircast_demo.smart.http import to, with_cors
from fhircast_demo.smart.users import USERS

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp, Receive, Scope, Send

    from fhircast_demo.smart import DevelopmentServer

_PAGES = Path(__file__).parent / "pages"
_FRESH = {"Cache-Control": "no-cache"}


def create_demo_app(smart: DevelopmentServer) -> Starlette:
    """Return the demo's server.

    Args:
        smart: Signs people in and lets applications in; knows where all will be reached.
    """
    settings = smart.settings
    cases = load_cases()
    store = FhirStore()
    seed(store, cases, dicomweb_base=f"{settings.origin}/dicomweb")
    for user in USERS.values():
        store.update("Practitioner", user.practitioner, user.resource())
    fhir = fhir_app(
        store,
        hub_url=settings.hub_url,
        security=security(settings),
        authorize=smart.guard.rights_of,
    )
    routes: list[BaseRoute] = [
        Route("/", _ehr_page(smart)),
        *(_page(app) for app in APPS),
        *smart.routes(),
        Mount("/fhir", with_cors(fhir)),
        Mount("/dicomweb", with_cors(smart.guard.images(dicomweb_app(cases)))),
        Mount("/static", _FreshStatics(directory=_PAGES / "static")),
    ]
    return Starlette(routes=routes, middleware=[Middleware(OneOrigin, origin=settings.origin)])


class OneOrigin:
    """Keeps everybody at one spelling of the address: cookies, redirect URIs and `aud` need it.

    A page of another name that was made to lead here is turned away, too.
    """

    def __init__(self, app: ASGIApp, *, origin: str) -> None:
        self._app = app
        self._origin = origin
        self._host = origin.partition("://")[2]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request that names this host; send a page's reader there; refuse all else."""
        if scope["type"] != "http" or Headers(scope=scope).get("host") == self._host:
            await self._app(scope, receive, send)
            return
        response: Response
        if scope["method"] in ("GET", "HEAD"):
            query = f"?{scope['query_string'].decode('latin-1')}" if scope["query_string"] else ""
            response = RedirectResponse(f"{self._origin}{scope['path']}{query}", 307)
        else:
            response = PlainTextResponse(f"Host: must be {self._host}\n", 421)
        await response(scope, receive, send)


class _FreshStatics(StaticFiles):
    """Statics that a browser asks for again: whoever edits the pages sees the edit."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers.update(_FRESH)
        return response


def _ehr_page(smart: DevelopmentServer) -> Any:
    """The EHR's page, for whom is signed in."""

    async def page(request: Request) -> Response:
        if smart.desk.session_of(request) is None:
            return to("/login?next=/")
        return FileResponse(_PAGES / "index.html", headers={"Cache-Control": "no-store"})

    return page


def _page(name: str) -> Route:
    async def page(_request: Request) -> Response:
        return FileResponse(_PAGES / f"{name}.html", headers=_FRESH)

    return Route(f"/{name}", page, name=name)
