"""Gives each request its id, echoes it, and writes the one line of the access log."""

import time

import structlog

from platform_api.kit.asgi.client_address import client_address
from platform_api.kit.asgi.messages import Application, Message, Receive, ScopeMap, Send, adding_headers, header
from platform_api.kit.request_context import RequestContext, accepted_request_id, request_context

USER_AGENT_CHARACTERS = 512

log = structlog.get_logger(__name__)


class Requests:
    """The outermost layer: everything inside it knows the request."""

    def __init__(self, app: Application) -> None:
        self.app = app

    async def __call__(self, scope: ScopeMap, receive: Receive, send: Send) -> None:
        """Passes on; only HTTP requests and WebSockets get a context."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        context = _context(scope)
        with request_context(context):
            if scope["type"] == "http":
                await self._logged(scope, receive, adding_headers(send, _echo(context)))
            else:
                await self.app(scope, receive, send)

    async def _logged(self, scope: ScopeMap, receive: Receive, send: Send) -> None:
        started = time.monotonic()
        status = 0

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, noting)
        finally:
            duration_ms = round((time.monotonic() - started) * 1000, 1)
            log.info(
                "request", method=scope["method"], path=scope["path"][:200], status=status, duration_ms=duration_ms
            )


def _context(scope: ScopeMap) -> RequestContext:
    user_agent = header(scope, b"user-agent")
    return RequestContext(
        request_id=accepted_request_id(header(scope, b"x-request-id")),
        ip_address=client_address(scope),
        user_agent=user_agent[:USER_AGENT_CHARACTERS] if user_agent else None,
    )


def _echo(context: RequestContext) -> list[tuple[bytes, bytes]]:
    return [(b"x-request-id", context.request_id.encode())]
