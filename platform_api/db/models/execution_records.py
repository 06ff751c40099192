"""What a run leaves beside its status: log lines, events, artifacts."""

from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import Index

from platform_api.db.enums import LogLevel
from platform_api.db.models.base import TenantRow
from platform_api.db.models.columns import big_count, choice, json_object, json_value, reference


class ExecutionLog(TenantRow, table=True):
    """A log line. Its column `metadata` is the attribute `metadata_`, a name that SQLAlchemy leaves free."""

    __tablename__ = "execution_logs"
    __table_args__: ClassVar[Any] = (
        Index("uq_execution_logs_execution_id_seq", "execution_id", "seq", unique=True),
        Index(None, "created_at"),
    )

    execution_id: UUID = reference("executions.id", "CASCADE", index=False)
    step_run_id: UUID | None = reference("step_runs.id", "CASCADE")
    step_key: str | None = None
    level: LogLevel = choice(LogLevel, "log_level", LogLevel.INFO, index=True)
    message: str
    metadata_: dict[str, Any] = json_object(column="metadata")
    seq: int = big_count(None)


class ExecutionEvent(TenantRow, table=True):
    """What the stream of an execution replays; numbered together with its log lines."""

    __tablename__ = "execution_events"
    __table_args__: ClassVar[Any] = (Index("uq_execution_events_execution_id_seq", "execution_id", "seq", unique=True),)

    execution_id: UUID = reference("executions.id", "CASCADE", index=False)
    seq: int = big_count(None)
    type: str
    payload: dict[str, Any] = json_object()


class Artifact(TenantRow, table=True):
    """A file that a step made. Its column `schema` is the attribute `schema_`, since models have a `schema` method."""

    __tablename__ = "artifacts"

    execution_id: UUID = reference("executions.id", "CASCADE")
    step_run_id: UUID = reference("step_runs.id", "CASCADE")
    name: str
    media_type: str
    bytes: int = big_count(None)
    rows: int | None = big_count(None)
    schema_: dict[str, Any] | None = json_value(column="schema")
    uri: str
    sha256: str
