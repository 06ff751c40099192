"""Headers that code inside a request puts on its answer, whatever the answer becomes: success or error."""

from collections.abc import Mapping
from typing import Any

from platform_api.kit.asgi.messages import Application, Receive, ScopeMap, Send, adding_headers

_KEY = "turbocat.answer_headers"


def add_answer_headers(scope: ScopeMap, headers: Mapping[str, Any]) -> None:
    """Adds headers to the answer of the request behind `scope`, each in place of one of the same name."""
    wanted: dict[bytes, bytes] = scope.setdefault(_KEY, {})
    wanted.update({name.lower().encode(): str(value).encode() for name, value in headers.items()})


class AnswerHeaders:
    """Must stand outside of everything that answers in the application's place."""

    def __init__(self, app: Application) -> None:
        self.app = app

    async def __call__(self, scope: ScopeMap, receive: Receive, send: Send) -> None:
        """Passes on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        wanted: dict[bytes, bytes] = scope.setdefault(_KEY, {})
        await self.app(scope, receive, adding_headers(send, wanted.items()))
