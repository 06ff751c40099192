"""Server-Sent Events as a browser reads them, and a run that makes some."""

import json
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import httpx

from flows.runtime.ports import LogLine, RunOutcome
from flows.states import ExecutionStatus
from platform_api.db.engine import Sessions
from platform_api.resources.executions.journal import Journal
from tests.factories.api import Api


@dataclass(frozen=True, kw_only=True)
class Event:
    """One event; `id` is what a browser would send back as `Last-Event-ID`."""

    id: str
    event: str
    data: dict[str, Any]


def parsed(blocks: Iterable[str], last_id: str = "") -> list[Event]:
    """The events among blocks of lines; comments and `retry` make none."""
    found = []
    for block in blocks:
        lines = [line.partition(": ") for line in block.split("\n") if line and not line.startswith(":")]
        fields = {name: value for name, _, value in lines}
        last_id = fields.get("id", last_id)
        if "data" in fields:
            found.append(Event(id=last_id, event=fields["event"], data=json.loads(fields["data"])))
    return found


def events_of(text: str) -> list[Event]:
    """The events of a whole stream."""
    return parsed(text.split("\n\n"))


async def arriving(answer: httpx.Response) -> AsyncIterator[Event]:
    """The events of a stream as they come."""
    left, last_id = "", ""
    async for text in answer.aiter_text():
        *blocks, left = (left + text).split("\n\n")
        for event in parsed(blocks, last_id):
            last_id = event.id
            yield event


@dataclass(frozen=True, kw_only=True)
class Running:
    """An execution that a test drives by the journal."""

    id: UUID
    api: Api
    journal: Journal

    @property
    def path(self) -> str:
        """Its stream, below `/api/v1`."""
        return f"/executions/{self.id}/stream"

    async def begin(self) -> None:
        """PENDING to RUNNING."""
        await self.journal.run_started(self.id, prefect_flow_run_id=uuid4(), run_count=1)

    async def log(self, *messages: str) -> None:
        """Appends lines in one transaction."""
        await self.journal.logged(self.id, [LogLine(level="INFO", message=message) for message in messages])

    async def finish(self) -> None:
        """RUNNING to COMPLETED."""
        await self.journal.run_finished(self.id, RunOutcome(status=ExecutionStatus.COMPLETED, outputs={}))


async def waiting_run(api: Api, sessions: Sessions, **fields: Any) -> Running:
    """A run that has been accepted."""
    workflow = await api.active_workflow(**fields)
    started = await api.made(f"/workflows/{workflow['id']}/execute", {})
    return Running(id=UUID(started["executionId"]), api=api, journal=Journal(sessions, api.tenant_id))
