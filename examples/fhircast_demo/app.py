"""The demo's own server: pages, launch values, FHIR store and images on one origin."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fhircast_hub.cli.token import mint_token
from starlette.applications import Starlette
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from fhircast_demo.cases import load_cases
from fhircast_demo.ehr import FhirStore, fhir_app, seed
from fhircast_demo.images import dicomweb_app

if TYPE_CHECKING:
    from starlette.requests import Request

_PAGES = Path(__file__).parent / "pages"
_NO_STORE = {"Cache-Control": "no-store"}
APPS = {"worklist": "Demo Worklist", "viewer": "Demo Viewer", "dictation": "Demo Dictation"}
_PAGE_NAMES = {"/": "index", **{f"/{app}": app for app in APPS}}
SCOPE = "fhircast/*.*"
TOKEN_SECONDS = 12 * 3600


@dataclass(frozen=True, slots=True)
class Launch:
    """What the demo hands to an application, in the place of a SMART launch.

    Attributes:
        hub_url: `hub.url`.
        topic: `hub.topic`, the same for all applications of the demo.
        jwt_key: Key with which the hub checks tokens.
    """

    hub_url: str
    topic: str
    jwt_key: str

    def token(self, client_id: str) -> str:
        """Return a bearer token for this topic."""
        return mint_token(
            self.jwt_key,
            scope=SCOPE,
            topic=self.topic,
            subject="demo-radiologist",
            client_id=client_id,
            seconds=TOKEN_SECONDS,
        )

    def values(self, app: str, origin: str) -> dict[str, Any]:
        """Return the launch values of an application; `app` is "" for one's own client."""
        return {
            "app": app or "own",
            "subscriber.name": APPS.get(app, "My client"),
            "hub.url": self.hub_url,
            "hub.topic": self.topic,
            "access_token": self.token(app or "own-client"),
            "token_type": "Bearer",
            "expires_in": TOKEN_SECONDS,
            "scope": SCOPE,
            "fhirBaseUrl": f"{origin}/fhir",
            "dicomwebUrl": f"{origin}/dicomweb",
            "demo": True,
        }


def create_demo_app(launch: Launch, *, origin: str) -> Starlette:
    """Return the demo's server.

    Args:
        launch: The session that applications join.
        origin: Where the server will be reached; images are linked with it.
    """
    cases = load_cases()
    store = FhirStore()
    seed(store, cases, dicomweb_base=f"{origin}/dicomweb")

    async def launch_values(request: Request) -> Response:
        app = request.path_params.get("app", "")
        if app and app not in APPS:
            return PlainTextResponse(f"no such application; there are {', '.join(APPS)}\n", 404)
        here = str(request.base_url).rstrip("/")
        return JSONResponse(launch.values(app, here), headers=_NO_STORE)

    routes: list[BaseRoute] = [_page(path, name) for path, name in _PAGE_NAMES.items()]
    routes += [
        Route("/launch", launch_values),
        Route("/launch/{app}", launch_values),
        Mount("/fhir", fhir_app(store, hub_url=launch.hub_url)),
        Mount("/dicomweb", dicomweb_app(cases)),
        Mount("/static", _FreshStatics(directory=_PAGES / "static")),
    ]
    return Starlette(routes=routes)


class _FreshStatics(StaticFiles):
    """Statics that a browser asks for again: whoever edits the pages sees the edit."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers["Cache-Control"] = "no-cache"
        return response


def _page(path: str, name: str) -> Route:
    async def page(_request: Request) -> Response:
        return FileResponse(_PAGES / f"{name}.html", headers={"Cache-Control": "no-cache"})

    return Route(path, page, name=name)
