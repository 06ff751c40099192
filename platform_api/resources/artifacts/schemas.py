"""What clients get about artifacts."""

from enum import StrEnum
from typing import Any
from uuid import UUID

from pydantic import Field

from platform_api.kit.schemas import UtcTime, View


class Format(StrEnum):
    """What a table can be downloaded as."""

    CSV = "csv"
    PARQUET = "parquet"
    JSON = "json"
    ARROW = "arrow"


class ArtifactView(View):
    """A file or dataset that a step has made."""

    id: UUID
    execution_id: UUID
    step_key: str
    path: str
    attempt: int
    name: str
    media_type: str
    bytes: int
    sha256: str
    rows: int | None
    schema_: dict[str, Any] | None = Field(alias="schema", description="column to type, of a table")
    formats: list[Format] = Field(description="what `?format=` takes; none for what is no table")
    download_url: str
    created_at: UtcTime
