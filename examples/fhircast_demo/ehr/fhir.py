"""The FHIR R4 REST API over a store: routes, limits, OperationOutcomes."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route

from fhircast_demo.ehr.bundles import process
from fhircast_demo.ehr.capability import capability_statement
from fhircast_demo.ehr.errors import FhirError, Json, invalid, operation_outcome
from fhircast_demo.ehr.http import base_url, read_form, read_json
from fhircast_demo.ehr.permitted import May, Permitted, Resources
from fhircast_demo.ehr.search import search
from fhircast_demo.ehr.searchset import searchset

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp

    from fhircast_demo.ehr.store import FhirStore, Stored

Authorize = Callable[["Request"], May]
Handler = Callable[["Request"], Awaitable[Response]]
MAX_BODY_BYTES = 1_048_576


def fhir_app(
    store: FhirStore,
    *,
    hub_url: str | None = None,
    security: Json | None = None,
    authorize: Authorize | None = None,
    max_body_bytes: int = MAX_BODY_BYTES,
) -> ASGIApp:
    """Return the FHIR API as an ASGI app to mount anywhere.

    Args:
        store: The resources.
        hub_url: The hub to publish in the CapabilityStatement (CAP-01).
        security: ``CapabilityStatement.rest.security``.
        authorize: Called before every request but ``/metadata``: returns what the caller may do,
            or raises `FhirError`.
        max_body_bytes: Larger bodies are refused with 413.
    """
    routes = fhir_routes(
        store,
        hub_url=hub_url,
        security=security,
        authorize=authorize,
        max_body_bytes=max_body_bytes,
    )
    handlers: Mapping[Any, Any] = {
        FhirError: _refused,
        HTTPException: _no_route,
        Exception: _broken,
    }
    return Starlette(routes=routes, exception_handlers=handlers)


def fhir_routes(
    store: FhirStore,
    *,
    hub_url: str | None = None,
    security: Json | None = None,
    authorize: Authorize | None = None,
    max_body_bytes: int = MAX_BODY_BYTES,
) -> list[Route]:
    """Return the routes of the API; `fhir_app` adds the error pages."""
    api = _Api(hub_url, security, max_body_bytes)

    def guarded(handler: Handler) -> Handler:
        async def handle(request: Request) -> Response:
            request.state.resources = (
                store if authorize is None else Permitted(store, authorize(request))
            )
            return await handler(request)

        return handle

    return [
        Route("/metadata", api.metadata, methods=["GET"]),
        Route("/", guarded(api.bundle), methods=["POST"]),
        Route("/{type}/_search", guarded(api.search_form), methods=["POST"]),
        Route("/{type}", guarded(api.search), methods=["GET"]),
        Route("/{type}", guarded(api.create), methods=["POST"]),
        Route("/{type}/{id}", guarded(api.read), methods=["GET"]),
        Route("/{type}/{id}", guarded(api.update), methods=["PUT"]),
        Route("/{type}/{id}", guarded(api.delete), methods=["DELETE"]),
    ]


class _Api:
    """The handlers; each one reads the request, asks the store, writes the response."""

    def __init__(self, hub_url: str | None, security: Json | None, max_body_bytes: int) -> None:
        self._hub_url = hub_url
        self._security = security
        self._max_body_bytes = max_body_bytes

    async def metadata(self, request: Request) -> Response:
        statement = capability_statement(
            base_url(request), hub_url=self._hub_url, security=self._security
        )
        return _respond(200, statement)

    async def read(self, request: Request) -> Response:
        item = _resources(request).read(*_target(request))
        if request.headers.get("if-none-match") == item.etag:
            return Response(status_code=304, headers=_version_headers(item))
        return _respond(200, item.resource, _version_headers(item))

    async def search(self, request: Request) -> Response:
        return self._search(request, request.query_params.multi_items())

    async def search_form(self, request: Request) -> Response:
        form = await read_form(request, self._max_body_bytes)
        return self._search(request, [*request.query_params.multi_items(), *form])

    def _search(self, request: Request, query: list[tuple[str, str]]) -> Response:
        kind = request.path_params["type"]
        page = search(_resources(request), kind, query)
        return _respond(200, searchset(page, base_url(request), kind))

    async def create(self, request: Request) -> Response:
        if "if-none-exist" in request.headers:
            raise FhirError(400, "not-supported", "If-None-Exist is not supported")
        resource = await read_json(request, self._max_body_bytes)
        item = _resources(request).create(request.path_params["type"], resource)
        return _created(request, item)

    async def update(self, request: Request) -> Response:
        kind, resource_id = _target(request)
        resource = await read_json(request, self._max_body_bytes)
        item, created = _resources(request).update(
            kind, resource_id, resource, if_match=request.headers.get("if-match")
        )
        if created:
            return _created(request, item)
        return _respond(200, item.resource, _version_headers(item))

    async def delete(self, request: Request) -> Response:
        _resources(request).delete(*_target(request), if_match=request.headers.get("if-match"))
        return Response(status_code=204)

    async def bundle(self, request: Request) -> Response:
        bundle = await read_json(request, self._max_body_bytes)
        if bundle.get("resourceType") != "Bundle":
            raise invalid("a POST to the base takes a Bundle of type batch or transaction")
        return _respond(200, process(_resources(request), bundle, base_url(request)))


def _resources(request: Request) -> Resources:
    """Return the store as the caller may see it."""
    resources: Resources = request.state.resources
    return resources


def _target(request: Request) -> tuple[str, str]:
    return request.path_params["type"], request.path_params["id"]


def _version_headers(item: Stored) -> dict[str, str]:
    modified = format_datetime(item.last_updated, usegmt=True)
    return {"ETag": item.etag, "Last-Modified": modified}


def _created(request: Request, item: Stored) -> Response:
    kind, resource_id = item.key
    location = f"{base_url(request)}/{kind}/{resource_id}/_history/{item.version}"
    return _respond(201, item.resource, _version_headers(item) | {"Location": location})


def _respond(status: int, body: Json, headers: dict[str, str] | None = None) -> Response:
    return Response(
        json.dumps(body, ensure_ascii=False, separators=(",", ":")),
        status,
        {"Cache-Control": "no-store", **(headers or {})},
        "application/fhir+json",
    )


async def _refused(_request: Request, error: FhirError) -> Response:
    return _respond(error.status, error.outcome(), error.headers)


async def _no_route(_request: Request, error: HTTPException) -> Response:
    if error.status_code == 405:
        outcome = operation_outcome("not-supported", "this method is not supported here")
    else:
        outcome = operation_outcome("not-found", "there is nothing at this address")
    return _respond(error.status_code, outcome, dict(error.headers or {}))


async def _broken(_request: Request, _error: Exception) -> Response:
    return _respond(500, operation_outcome("exception", "the EHR failed to answer"))
