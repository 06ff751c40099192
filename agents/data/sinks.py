"""Where a result is written beside the dataset store."""

from typing import Annotated, Any, Literal

from pydantic import Field, ValidatorFunctionWrapHandler, WrapValidator, model_validator

from agents.data.model import DataModel, holds_template, refuse
from agents.data.sources import FilePath, format_of
from agents.data.suggestions import listed

SinkFormat = Literal["csv", "parquet", "ndjson", "ipc"]
SINK_FORMATS = ("csv", "parquet", "ndjson", "ipc")


def _check_format(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    if isinstance(value, str) and not holds_template(value) and value not in SINK_FORMATS:
        raise refuse("UNSUPPORTED_FORMAT", f"files cannot be written as {value[:50]!r}; use {listed(SINK_FORMATS)}")
    return handler(value)


class Sink(DataModel):
    """`{"path": "reports/late.csv"}`: a file under the first data root, or under the root that an absolute path names.

    The file appears whole or not at all. `partitionBy` makes a folder of Parquet files instead
    (`late/origin=JFK/….parquet`). `escapeFormulas` puts a `'` before texts in CSV that a spreadsheet would run.
    """

    path: FilePath
    format: Annotated[SinkFormat | None, WrapValidator(_check_format)] = None
    if_exists: Literal["replace", "fail"] = "replace"
    partition_by: list[str] = Field(default_factory=list)
    separator: str = Field(default=",", min_length=1, max_length=1)
    escape_formulas: bool = True

    @model_validator(mode="after")
    def _fits(self) -> "Sink":
        if holds_template(self.path) or holds_template(self.format):
            return self
        found = self.format or format_of(self.path, None) or ("parquet" if self.partition_by else None)
        if found not in SINK_FORMATS:
            raise refuse("UNSUPPORTED_FORMAT", f'"format" is needed when the path does not end in {_endings()}')
        if self.partition_by and found != "parquet":
            raise refuse("BAD_CONFIG", '"partitionBy" needs the format parquet')
        return self

    @property
    def kind(self) -> str:
        """The format that is written."""
        return self.format or format_of(self.path, None) or "parquet"


def _endings() -> str:
    return listed(f".{name}" for name in SINK_FORMATS)
