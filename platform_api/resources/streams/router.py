"""`GET /executions/{id}/stream` and `POST /executions/{id}/stream-token`."""

import asyncio
from contextlib import aclosing
from functools import partial
from typing import Annotated, Any
from uuid import UUID

import structlog
from fastapi import APIRouter, Depends, Header, Query, Request, Response, status
from starlette.responses import StreamingResponse
from starlette.types import Send

from platform_api.access.dependencies import (
    Permit,
    PlatformDep,
    StreamCallerDep,
    known_again,
    requires,
)
from platform_api.access.permissions import Permission
from platform_api.access.principal import Principal
from platform_api.access.recorded_route import RecordedRoute
from platform_api.access.scope import TenantScope
from platform_api.kit.envelope import errors, ok
from platform_api.kit.schemas import Envelope
from platform_api.resources.executions.service import ExecutionService
from platform_api.resources.streams.schemas import StreamEvent, StreamTokenView
from platform_api.resources.streams.service import EventStreams

router = APIRouter(tags=["Executions"], route_class=RecordedRoute)

MAX_SEQ = 2**63 - 1
TAKEN_WITHIN_HEARTBEATS = 2
"""How long a client may take nothing of what it is sent."""

log = structlog.get_logger(__name__)


class EventStreamResponse(StreamingResponse):
    """Sent piece by piece, unbuffered; a client that takes nothing for long is left."""

    media_type = "text/event-stream"
    taken_within_seconds = 30.0

    async def stream_response(self, send: Send) -> None:
        """Sends all pieces, each bounded in time."""
        chunks: Any = self.body_iterator
        async with aclosing(chunks):
            try:
                await self._send(send, {"type": "http.response.start", "status": 200, "headers": self.raw_headers})
                async for chunk in chunks:
                    await self._send(send, {"type": "http.response.body", "body": chunk, "more_body": True})
                await self._send(send, {"type": "http.response.body", "body": b"", "more_body": False})
            except TimeoutError:
                log.info("slow_stream_left")

    async def _send(self, send: Send, message: dict[str, Any]) -> None:
        async with asyncio.timeout(self.taken_within_seconds):
            await send(message)


class _StreamPermit(Permit):
    async def __call__(self, request: Request, shared: PlatformDep, principal: StreamCallerDep) -> Principal:  # type: ignore[override]  # gives the principal at once: there is no idempotency key to look after
        self.check(principal)
        return principal


def _streams(request: Request) -> EventStreams:
    found: EventStreams = request.app.state.streams
    return found


StreamsDep = Annotated[EventStreams, Depends(_streams)]
Listener = Annotated[Principal, Depends(_StreamPermit(Permission.EXECUTIONS_READ), scope="function")]
Reader = Annotated[TenantScope, requires(Permission.EXECUTIONS_READ)]
Seq = Annotated[int | None, Query(alias="lastEventId", ge=0, le=MAX_SEQ, description="Like the header `Last-Event-ID`")]
LastEventId = Annotated[
    int | None, Header(alias="Last-Event-ID", ge=0, le=MAX_SEQ, description="Id of the last event that has arrived")
]
_STREAM = {"model": StreamEvent, "description": "Events until the run has ended; not in an envelope"}


@router.get(
    "/executions/{execution_id}/stream",
    response_class=EventStreamResponse,
    responses={200: _STREAM, **errors(400, 401, 403, 404, 503)},
)
async def stream_execution(
    execution_id: UUID,
    caller: Listener,
    shared: PlatformDep,
    streams: StreamsDep,
    last_event_id: LastEventId = None,
    since: Seq = None,
) -> Response:
    """What happens in the execution, as Server-Sent Events: first all that is on record, then what comes.

    Each event that is on record has its number as `id`, events and log lines in one order; `Last-Event-ID` goes on
    behind it without gap or repetition. A comment comes every 15 s (a setting). The stream ends by itself after the
    final status, also when the run has ended before; after an hour (a setting), for the client to come again; and
    when the caller may no longer read the execution. `token` events are told live only. Browsers, whose `EventSource`
    sends no headers, take a token of `POST /executions/{id}/stream-token`.
    """
    after = last_event_id if last_event_id is not None else since or 0
    chunks = await streams.stream(execution_id, caller, partial(known_again, shared, caller.credential), after=after)
    response = EventStreamResponse(
        chunks, headers={"Cache-Control": "no-store, no-transform", "X-Accel-Buffering": "no"}
    )
    response.taken_within_seconds = TAKEN_WITHIN_HEARTBEATS * streams.settings.heartbeat_seconds
    return response


@router.post(
    "/executions/{execution_id}/stream-token",
    status_code=status.HTTP_201_CREATED,
    responses=errors(400, 401, 403, 404),
)
async def create_stream_token(execution_id: UUID, scope: Reader, shared: PlatformDep) -> Envelope[StreamTokenView]:
    """A token that opens this execution's stream by `?token=` for 60 seconds, and nothing else."""
    await ExecutionService(scope).standing(execution_id)
    token = shared.stream_tokens.issue(scope.caller.credential, execution_id)
    return ok(StreamTokenView(token=token.text, expires_at=token.expires_at))
