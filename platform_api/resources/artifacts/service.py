"""Artifacts as they are listed and downloaded."""

import asyncio
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO
from urllib.parse import quote
from uuid import UUID

import polars as pl

from agents.data.stopping import StopSignal, run_stoppable
from agents.errors import AgentError, InputInvalid
from flows.runtime.ports import ResultStore
from platform_api.access.principal import Principal
from platform_api.access.scope import TenantScope, tenant_scope
from platform_api.db.engine import Sessions
from platform_api.db.models import Artifact, StepRun
from platform_api.errors import NotFound, ServiceUnavailable, ValidationFailed
from platform_api.kit.byte_ranges import Span
from platform_api.kit.pagination import Paging
from platform_api.resources.artifacts.conversion import MEDIA_TYPES, convert, is_already, is_table
from platform_api.resources.artifacts.repository import ArtifactRepository
from platform_api.resources.artifacts.schemas import ArtifactView, Format
from platform_api.resources.executions.service import ExecutionService

CHUNK_BYTES = 256 * 1024
CONVERSIONS = 2
"""How many of one process run at once; Polars uses all cores for each."""


class ArtifactService:
    """Reads artifacts inside one scope. They are visible to whoever reads their execution."""

    def __init__(self, scope: TenantScope) -> None:
        self._executions = ExecutionService(scope)
        self._artifacts = ArtifactRepository(scope)

    async def page(self, execution_id: UUID, paging: Paging) -> tuple[list[ArtifactView], int]:
        """One page of what the execution made, the oldest first."""
        await self._executions.standing(execution_id)
        found, total = await self._artifacts.of(execution_id, page=paging.page, page_size=paging.page_size)
        return [_view(*each) for each in found], total

    async def get(self, artifact_id: UUID) -> tuple[Artifact, StepRun]:
        """One artifact that the caller reads, with the step that made it."""
        artifact, step = await self._artifacts.with_step(artifact_id)
        await self._executions.standing(artifact.execution_id)
        return artifact, step


@dataclass(frozen=True, kw_only=True)
class Download:
    """An open file and what is to be said of it."""

    file: BinaryIO
    size: int
    etag: str
    media_type: str
    filename: str

    @property
    def disposition(self) -> str:
        """`Content-Disposition`: always a download, whatever the name says."""
        return f"attachment; filename*=UTF-8''{quote(self.filename, safe='')}"

    async def pieces(self, span: Span) -> AsyncGenerator[bytes]:
        """The bytes of `span`; closes the file."""
        try:
            left = span.bytes
            await asyncio.to_thread(self.file.seek, span.start)
            while left > 0 and (chunk := await asyncio.to_thread(self.file.read, min(left, CHUNK_BYTES))):
                left -= len(chunk)
                yield chunk
        finally:
            self.file.close()


class Downloads:
    """Opens artifacts' files; one per process."""

    def __init__(self, sessions: Sessions, store: ResultStore) -> None:
        self._sessions = sessions
        self._store = store
        self._pool = ThreadPoolExecutor(CONVERSIONS, thread_name_prefix="artifacts")

    async def open(self, artifact_id: UUID, caller: Principal, wanted: Format | None) -> Download:
        """The file, in `wanted`'s format; raises `NotFound`, also when the store has it no more, and
        `ValidationFailed` when it cannot be had in that format."""
        async with tenant_scope(self._sessions, caller.tenant_id, caller) as scope:
            artifact, step = await ArtifactService(scope).get(artifact_id)
        if wanted is None or is_already(artifact.media_type, wanted):
            return await self._stored(artifact, step)
        if not is_table(artifact.media_type):
            raise ValidationFailed(f"{artifact.name} is {artifact.media_type} and no table; leave `format` out")
        return await self._converted(artifact, step, wanted)

    def close(self) -> None:
        """Gives the threads up."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _stored(self, artifact: Artifact, step: StepRun) -> Download:
        path = await self._located(artifact)
        return Download(
            file=await asyncio.to_thread(path.open, "rb"),
            size=artifact.bytes,
            etag=f'"{artifact.sha256}"',
            media_type=artifact.media_type,
            filename=_filename(artifact, step, PurePosixPath(artifact.name).suffix),
        )

    async def _converted(self, artifact: Artifact, step: StepRun, wanted: Format) -> Download:
        """The file has no name any more when it is sent, so that nothing is left of it whatever happens."""
        source = await self._located(artifact)
        target, stop = self._store.stage(f".{wanted.value}"), StopSignal()
        try:
            await run_stoppable(self._pool, stop, lambda: convert(source, artifact.media_type, wanted, target, stop))
            file = target.open("rb")
        finally:
            target.unlink(missing_ok=True)
        return Download(
            file=file,
            size=file.seek(0, 2),
            etag=f'"{artifact.sha256}.{wanted.value}.{pl.__version__}"',
            media_type=MEDIA_TYPES[wanted],
            filename=_filename(artifact, step, f".{wanted.value}"),
        )

    async def _located(self, artifact: Artifact) -> Path:
        try:
            return await asyncio.to_thread(self._store.locate, artifact.uri)
        except InputInvalid as error:
            message = f"The file of {artifact.name} is gone from the result store; run the step again to have it"
            raise NotFound(message) from error
        except AgentError as error:
            raise ServiceUnavailable("The result store cannot be reached now; try again in a few seconds") from error


def _view(artifact: Artifact, step: StepRun) -> ArtifactView:
    return ArtifactView(
        id=artifact.id,
        execution_id=step.execution_id,
        step_key=step.step_key,
        path=step.path,
        attempt=step.attempt,
        name=artifact.name,
        media_type=artifact.media_type,
        bytes=artifact.bytes,
        sha256=artifact.sha256,
        rows=artifact.rows,
        schema_=artifact.schema_,
        formats=list(Format) if is_table(artifact.media_type) else [],
        download_url=f"/api/v1/artifacts/{artifact.id}",
        created_at=artifact.created_at,
    )


def _filename(artifact: Artifact, step: StepRun, suffix: str) -> str:
    """The step's path before the name, since every step's dataset has the same one; never a folder."""
    stem = PurePosixPath(artifact.name.replace("\\", "/")).stem
    return f"{step.path}-{stem}{suffix}"
