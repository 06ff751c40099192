"""Files that a run has made."""

from pathlib import Path
from uuid import UUID

import polars as pl

from agents.result import ArtifactFile
from flows.runtime.ports import StepAttempt, StepOutcome
from flows.states import StepStatus
from platform_api.kit.result_stores import open_result_store
from platform_api.resources.executions.journal import Journal
from platform_api.settings import Settings
from tests.factories.events import Running


async def make_dataset(
    settings: Settings, journal: Journal, execution_id: UUID, frame: pl.DataFrame, step_key: str = "load"
) -> ArtifactFile:
    """The dataset of a DATA step of a run that is RUNNING, as its executor keeps it."""
    store = open_result_store(settings)
    staged = store.stage()
    frame.write_parquet(staged)
    columns = {name: str(kind) for name, kind in frame.schema.items()}
    file = ArtifactFile.of_dataset(await store.keep(staged, rows=frame.height, columns=columns))
    await end_step(journal, execution_id, step_key, file)
    return file


async def make_file(
    settings: Settings, run: Running, content: bytes, *, name: str, media_type: str, step_key: str = "draw"
) -> ArtifactFile:
    """A file of another agent."""
    store = open_result_store(settings)
    staged = store.stage(Path(name).suffix or ".bin")
    staged.write_bytes(content)
    kept = await store.keep(staged, rows=0, columns={})
    file = ArtifactFile(name=name, media_type=media_type, uri=kept.uri, bytes=kept.bytes, sha256=kept.sha256)
    await end_step(run.journal, run.id, step_key, file)
    return file


async def end_step(journal: Journal, execution_id: UUID, step_key: str, *files: ArtifactFile) -> None:
    attempt = StepAttempt(step_key=step_key, path=step_key, attempt=1)
    await journal.step_started(execution_id, attempt, inputs={})
    outcome = StepOutcome(status=StepStatus.COMPLETED, output={}, artifacts=files)
    await journal.step_finished(execution_id, attempt, outcome)
