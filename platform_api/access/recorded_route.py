"""The class of every route: its answer is known before the request's transaction is committed."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.responses import StreamingResponse

from platform_api.access.idempotency import Answer, note_answer


class RecordedRoute(APIRoute):
    """`APIRouter(route_class=RecordedRoute)`: needed by routes that take an `Idempotency-Key`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's handler, watched."""
        handle = super().get_route_handler()

        async def recording(request: Request) -> Response:
            response = await handle(request)
            if request.method == "POST" and not isinstance(response, StreamingResponse):
                answer = Answer(status=response.status_code, headers=dict(response.headers), body=bytes(response.body))
                note_answer(request.scope, answer)
            return response

        return recording
