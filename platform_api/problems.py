"""Turns every exception that a route can end with into the error envelope. The only place that does."""

from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import iter_route_contexts
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolExhausted
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.routing import Match

from agents.errors import Problem
from flows.errors import PrefectRefused, PrefectUnavailable
from platform_api.access.idempotency import Replayed
from platform_api.errors import PlatformError
from platform_api.kit.envelope import error_envelope
from platform_api.kit.paths import json_path

log = structlog.get_logger(__name__)

_BY_STATUS: Mapping[int, tuple[str, str]] = {
    400: ("VALIDATION_ERROR", "The request is not valid"),
    401: ("UNAUTHENTICATED", "Log in first"),
    403: ("FORBIDDEN", "This is not allowed"),
    404: ("NOT_FOUND", "There is nothing at this path"),
    405: ("METHOD_NOT_ALLOWED", "This path does not take this method; `Allow` names those that it takes"),
    413: ("PAYLOAD_TOO_LARGE", "The body is too large"),
    415: ("UNSUPPORTED_MEDIA_TYPE", "Send JSON in UTF-8"),
    503: ("SERVICE_UNAVAILABLE", "Try again later"),
}
_RULES: Mapping[str, str] = {"missing": "REQUIRED", "extra_forbidden": "UNKNOWN_FIELD", "json_invalid": "JSON_INVALID"}
_MESSAGES: Mapping[str, str] = {"extra_forbidden": "unknown field; remove it or correct its name"}
_PLACES = ("body", "query", "path", "header", "cookie")
_CONFLICTS = ("23505", "23503", "23P01")  # unique, foreign key, exclusion
_LAST_SECONDS = {"Retry-After": "5"}


class Cors(CORSMiddleware):
    """Cross-origin rules whose refusals have the shape of every other error."""

    def preflight_response(self, request_headers: Headers) -> Response:
        """The answer to a browser that asks first."""
        answer = super().preflight_response(request_headers)
        if answer.status_code < 400:
            return answer
        message = "This origin, method or header is not allowed from browsers (FRONTEND_URL lists the origins)"
        return _answer(400, "VALIDATION_ERROR", message, headers={"Vary": "Origin"})


def install_problem_handlers(app: FastAPI) -> None:
    """Registers all handlers; what they leave over is `kit.asgi.unhandled`'s."""
    app.add_exception_handler(PlatformError, _platform_error)
    app.add_exception_handler(Replayed, _replayed)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(HTTPException, _http_exception)
    app.add_exception_handler(IntegrityError, _integrity_error)
    app.add_exception_handler(DBAPIError, _database_error)
    app.add_exception_handler(PoolExhausted, _unavailable)
    app.add_exception_handler(PrefectUnavailable, _unavailable)
    app.add_exception_handler(PrefectRefused, _unavailable)


def _answer(
    status: int,
    code: str,
    message: str,
    details: Sequence[Problem] = (),
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    return JSONResponse(error_envelope(code, message, details), status_code=status, headers=dict(headers or {}))


async def _platform_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, PlatformError)
    headers = dict(error.headers)
    if error.status == 401:
        headers.setdefault("WWW-Authenticate", "Bearer")
    return _answer(error.status, error.code, error.message, error.details, headers)


async def _replayed(_request: Request, replayed: Exception) -> Response:
    """The answer of the first request with the same `Idempotency-Key`, as it was."""
    assert isinstance(replayed, Replayed)
    answer = replayed.answer
    headers = {**answer.headers, "Idempotency-Replayed": "true"}
    return Response(answer.body, status_code=answer.status, headers=headers)


async def _invalid_request(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    details = [_detail(item) for item in error.errors()]
    return _answer(400, "VALIDATION_ERROR", "The request is not valid", details)


async def _http_exception(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    code, message = _BY_STATUS.get(error.status_code, ("INTERNAL_ERROR", "Something went wrong here"))
    headers = dict(error.headers or {})
    if error.status_code == 405:
        headers["Allow"] = ", ".join(_allowed_methods(request))
    return _answer(error.status_code, code, message, headers=headers)


async def _integrity_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, IntegrityError)
    if _sqlstate(error) not in _CONFLICTS:
        return await _database_error(request, error)
    return _answer(409, "CONFLICT", "This clashes with what is stored; read it again and adjust the request")


async def _database_error(request: Request, error: Exception) -> JSONResponse:
    """Unreachable or too slow is 503, a value that no column takes is 400; the rest is a mistake of ours."""
    assert isinstance(error, DBAPIError)
    state = _sqlstate(error)
    if isinstance(error, DataError) or state.startswith("22"):
        return _answer(400, "VALIDATION_ERROR", "A value does not fit into its column")
    if state == "" or error.connection_invalidated or state[:2] in ("08", "53", "57"):
        return await _unavailable(request, error)
    raise error


async def _unavailable(_request: Request, error: Exception) -> JSONResponse:
    log.error("dependency_unavailable", error=type(error).__name__)
    message = "Something that this call needs cannot be reached now; try again in a few seconds"
    return _answer(503, "SERVICE_UNAVAILABLE", message, headers=_LAST_SECONDS)


def _sqlstate(error: DBAPIError) -> str:
    return str(getattr(error.orig, "sqlstate", None) or "")


def _detail(item: Mapping[str, Any]) -> Problem:
    location = list(item["loc"])
    if item["type"] == "json_invalid":
        return Problem(path="", code="JSON_INVALID", message="Not valid JSON")
    if location and location[0] in _PLACES:
        location = location[1:]
    code = _RULES.get(item["type"], str(item["type"]).upper())
    message = _MESSAGES.get(item["type"]) or str(item["msg"]).removeprefix("Value error, ")
    return Problem(path=json_path(location), code=code, message=message)


def _allowed_methods(request: Request) -> list[str]:
    allowed: set[str] = set()
    for context in iter_route_contexts(request.app.routes):
        match, _ = context.matches(dict(request.scope))
        if match is not Match.NONE:
            allowed |= context.methods or set()
    return sorted(allowed | {"HEAD"} if "GET" in allowed else allowed)
