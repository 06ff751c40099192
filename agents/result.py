"""What an agent's run gives back."""

from decimal import Decimal
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class DatasetRef(BaseModel):
    """A table in the dataset store. Travels between steps as JSON under the key `dataset` of a DATA agent's output."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)

    uri: str
    format: str = "parquet"
    rows: int
    bytes: int
    columns: dict[str, str] = Field(default_factory=dict)
    """Column name to Polars type name, in order."""
    sha256: str = Field(default="", exclude=True)
    """Of the stored file; told by the store, and no part of what travels."""


class Usage(BaseModel):
    """Tokens and USD spent; adds up with `+`. `cost` is None when a model's price is unknown, never 0 then."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: Decimal | None = Decimal(0)

    def __add__(self, other: "Usage") -> "Usage":
        cost = None if self.cost is None or other.cost is None else self.cost + other.cost
        return Usage(
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            cost=cost,
        )


class ArtifactFile(BaseModel):
    """A file that the run made and that the record should list."""

    model_config = ConfigDict(frozen=True)

    name: str
    media_type: str
    uri: str
    bytes: int
    sha256: str
    rows: int | None = None
    schema_: dict[str, str] | None = None
    """Column name to type, of a table; the column `schema` of the record."""

    @classmethod
    def of_dataset(cls, dataset: DatasetRef) -> "ArtifactFile":
        """A stored table as a file to list."""
        return cls(
            name="dataset.parquet",
            media_type="application/vnd.apache.parquet",
            uri=dataset.uri,
            bytes=dataset.bytes,
            sha256=dataset.sha256,
            rows=dataset.rows,
            schema_=dataset.columns,
        )


class AgentResult(BaseModel):
    """`output` is plain JSON data (what following steps see as `<stepKey>.output`)."""

    model_config = ConfigDict(frozen=True)

    output: Any
    usage: Usage = Usage()
    artifacts: tuple[ArtifactFile, ...] = ()
    preview: Any = None
    """A short form of the output for the record, at most a few KiB; None when the output itself is short."""
