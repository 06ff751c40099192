"""The application: routes, what stands around them, and what lives as long as the process.

Around the routes, from the outside in: client address · request id and access log · headers that rate limits add ·
whether code runs without a sandbox · security headers · HTTPS only, where asked for · CORS · HEAD · compression ·
figures · the net for unhandled errors · bounded and checked bodies.
"""

import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any

from fastapi import FastAPI
from pydantic import SecretStr
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware

from flows.orchestrator import Orchestrator
from platform_api.access.dependencies import Platform
from platform_api.api import route_template, router
from platform_api.contract.document import make_openapi
from platform_api.db.engine import create_engine, libpq_url, session_maker
from platform_api.kit.asgi.answer_headers import AnswerHeaders
from platform_api.kit.asgi.bodies import Bodies
from platform_api.kit.asgi.client_address import ClientAddresses
from platform_api.kit.asgi.head import Head
from platform_api.kit.asgi.https_only import HttpsOnly
from platform_api.kit.asgi.leaving import LEAVE
from platform_api.kit.asgi.request_figures import CountsRequests, RequestFigures
from platform_api.kit.asgi.requests import Requests
from platform_api.kit.asgi.security_headers import SecurityHeaders
from platform_api.kit.asgi.unhandled import UnhandledErrors
from platform_api.kit.logging import configure_logging
from platform_api.kit.result_stores import open_result_store
from platform_api.problems import Cors, install_problem_handlers
from platform_api.resources.artifacts.service import Downloads
from platform_api.resources.health.metrics import Metrics
from platform_api.resources.health.service import platform_version
from platform_api.resources.secrets.keys import check_keys
from platform_api.resources.streams.hub import Hub
from platform_api.resources.streams.service import EventStreams
from platform_api.resources.workers.unsafe import HEADER as SANDBOX_HEADER
from platform_api.resources.workers.unsafe import TellsUnsafe, UnsafeWorkers
from platform_api.settings import LogSettings, PrefectSettings, Settings, load_settings

COMPRESS_FROM_BYTES = 1024
_INPUTS = re.compile(r"/api/v1/(workflows/[^/]+/execute|executions/[^/]+/(retry|resume)|agents/[^/]+/test)")
"""Whose bodies carry a run's inputs."""

_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
_REQUEST_HEADERS = [
    *("Authorization", "Content-Type", "Idempotency-Key", "If-Match", "Last-Event-ID", "X-API-Key", "X-Request-ID"),
    *("If-Range", "Range"),
]
_RESPONSE_HEADERS = [
    *("ETag", "Idempotency-Replayed", "Retry-After", "X-Request-ID"),
    *("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"),
    *("Accept-Ranges", "Content-Disposition", "Content-Range"),
    SANDBOX_HEADER,
]
_DESCRIPTION = "Agents, workflows and their runs. Send `Authorization: Bearer <access token>` or `X-API-Key: <key>`."

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[dict[str, Any]]]


def create_app(settings: Settings | None = None, orchestrator: Orchestrator | None = None) -> FastAPI:
    """The ASGI application. Without `settings` it is the process itself: reads the environment (`SettingsInvalid`) and
    sets up its logs. An `orchestrator` that is given stays its giver's to close."""
    if settings is None:
        settings = load_settings()
        configure_logging(log_settings(settings), application="api")
    figures = RequestFigures()
    return _assemble(middleware=_around(settings, figures), lifespan=_lifespan(settings, orchestrator, figures))


def log_settings(settings: Settings) -> LogSettings:
    """Where an API process logs: several of them cannot rotate one file, and share the console."""
    return settings.logs if settings.api.processes == 1 else settings.logs.model_copy(update={"folder": None})


def openapi_document() -> dict[str, Any]:
    """The OpenAPI document; needs neither database nor environment."""
    return _assemble().openapi()


def _assemble(*, middleware: list[Middleware] | None = None, lifespan: Lifespan | None = None) -> FastAPI:
    app = FastAPI(
        title="Turbocat",
        version=platform_version(),
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        routes=router.routes,
        middleware=middleware,
        lifespan=lifespan,
    )
    install_problem_handlers(app)
    document: dict[str, Any] = {}

    def openapi() -> dict[str, Any]:
        if not document:
            document.update(make_openapi(app))
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's way to replace the document
    return app


def _around(settings: Settings, figures: RequestFigures) -> list[Middleware]:
    return [
        Middleware(ClientAddresses, trusted=settings.api.trusted_proxies),
        Middleware(Requests),
        Middleware(AnswerHeaders),
        Middleware(TellsUnsafe),
        Middleware(SecurityHeaders),
        *([Middleware(HttpsOnly)] if settings.api.force_https else []),
        Middleware(
            Cors,
            allow_origins=settings.api.frontend_url,
            allow_methods=_METHODS,
            allow_headers=_REQUEST_HEADERS,
            expose_headers=_RESPONSE_HEADERS,
            max_age=600,
        ),
        Middleware(Head),
        Middleware(GZipMiddleware, minimum_size=COMPRESS_FROM_BYTES),
        Middleware(CountsRequests, figures=figures, template=route_template),
        Middleware(UnhandledErrors),
        Middleware(
            Bodies,
            limit_bytes=settings.api.body_limit_bytes,
            large_paths=_INPUTS,
            large_limit_bytes=settings.api.inputs_limit_bytes,
            timeout_seconds=settings.api.body_timeout_seconds,
        ),
    ]


def _lifespan(settings: Settings, given: Orchestrator | None, figures: RequestFigures) -> Lifespan:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        async with AsyncExitStack() as closing:  # what fails to close keeps nothing below it open
            engine = create_engine(settings.database, application_name="turbocat-api")
            closing.push_async_callback(engine.dispose)
            orchestrator = given or _orchestrator(settings.prefect)
            if given is None:
                closing.push_async_callback(orchestrator.aclose)
            platform = Platform(
                settings=settings,
                sessions=session_maker(engine),
                orchestrator=orchestrator,
                started_at=time.monotonic(),
            )
            closing.push_async_callback(platform.rate_limits.aclose)
            app.state.platform = platform
            app.state.metrics = Metrics(figures, platform.sessions, token=_text(settings.api.metrics_token))
            await check_keys(platform.sessions, platform.cipher)
            await closing.enter_async_context(platform.key_usage.written())
            closing.push_async_callback(platform.background.aclose)
            streams = _event_streams(settings, platform, figures)
            closing.push_async_callback(streams.aclose)
            app.state.streams = streams
            app.state.unsafe_workers = UnsafeWorkers(platform.sessions, settings.runs.code_sandbox)
            app.state.downloads = Downloads(platform.sessions, open_result_store(settings))
            closing.callback(app.state.downloads.close)
            yield {LEAVE: streams.end_all}

    return lifespan


def _event_streams(settings: Settings, platform: Platform, figures: RequestFigures) -> EventStreams:
    return EventStreams(settings.streams, platform.sessions, Hub(libpq_url(settings.database)), figures.registry)


def _orchestrator(settings: PrefectSettings) -> Orchestrator:
    return Orchestrator(
        api_url=settings.api_url,
        auth=_text(settings.auth_string),
        ui_url=settings.ui_url,
        timeout_seconds=settings.timeout_seconds,
    )


def _text(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()
