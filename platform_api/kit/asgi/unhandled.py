"""The last net: an exception that nobody handled becomes `INTERNAL_ERROR`, which leaks nothing."""

import structlog

from platform_api.kit.asgi.messages import Application, Message, Receive, ScopeMap, Send, send_error

log = structlog.get_logger(__name__)


class UnhandledErrors:
    """Logs the exception with its traceback; the answer carries the request id that finds it."""

    def __init__(self, app: Application) -> None:
        self.app = app

    async def __call__(self, scope: ScopeMap, receive: Receive, send: Send) -> None:
        """Passes on. After the answer has begun nothing can be said any more: the connection breaks off."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun = False

        async def noting(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self.app(scope, receive, noting)
        except Exception:
            log.exception("unhandled_error", method=scope["method"])
            if begun:
                raise
            await send_error(
                send, 500, "INTERNAL_ERROR", "Something went wrong here; the request id finds it in the logs"
            )
