"""Where a result is written beside the dataset store."""

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, ValidatorFunctionWrapHandler, WrapValidator, model_validator

from agents.data.addresses import Database, IfTableExists, Located, is_object
from agents.data.formats import FilePath, Separator, format_of
from agents.data.model import DataModel, holds_template, refuse
from agents.data.suggestions import listed

SinkFormat = Literal["csv", "parquet", "ndjson", "json", "ipc", "excel"]
SINK_FORMATS = ("csv", "parquet", "ndjson", "json", "ipc", "excel")
_ENDINGS = (".csv", ".parquet", ".ndjson", ".json", ".ipc", ".xlsx")


def _check_format(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    if isinstance(value, str) and not holds_template(value) and value not in SINK_FORMATS:
        raise refuse("UNSUPPORTED_FORMAT", f"files cannot be written as {value[:50]!r}; use {listed(SINK_FORMATS)}")
    return handler(value)


class Writing(DataModel):
    """How a file is written; without `format` its name says as what.

    `escapeFormulas` puts a `'` before texts in CSV that a spreadsheet would run; in Excel files texts are never run.
    `partitionBy` makes a folder of Parquet files instead of one file (`late/origin=JFK/….parquet`).
    """

    format: Annotated[SinkFormat | None, WrapValidator(_check_format)] = None
    separator: Separator = ","
    escape_formulas: bool = True
    partition_by: list[str] = Field(default_factory=list)

    def format_by(self, name: str) -> str | None:
        """The format that is written to a file of that name; None when neither says."""
        found = self.format or format_of(name, None)
        if found is None and self.partition_by:
            return "parquet"
        return found if found in SINK_FORMATS and not name.lower().endswith((".xls", ".xlsb", ".ods")) else None

    def _require_format(self, name: str) -> None:
        found = self.format_by(name)
        if found is None:
            raise refuse("UNSUPPORTED_FORMAT", f'"format" is needed when the name does not end in {listed(_ENDINGS)}')
        if self.partition_by and found != "parquet":
            raise refuse("BAD_CONFIG", '"partitionBy" needs the format parquet')


class FileSink(Writing):
    """`{"path": "reports/late.csv"}`: a file under the first data root, or under the root that an absolute path names.

    The file, or the folder that `partitionBy` makes, appears whole or not at all.
    """

    path: FilePath
    if_exists: Literal["replace", "fail"] = "replace"

    @model_validator(mode="after")
    def _fits(self) -> "FileSink":
        if holds_template(self.path) or holds_template(self.format):
            return self
        self._require_format(self.path)
        return self

    @property
    def kind(self) -> str:
        """The format that is written."""
        return self.format_by(self.path) or "parquet"


class UrlSink(Located, Writing):
    """`{"url": "s3://bucket/late.parquet", "credentials": {…}}`: one object, which appears whole or not at all.

    A file is sent to an http or https URL by PUT. With `partitionBy` the URL is that of the folder (`s3://bucket/late`):
    all its objects are there before the first gets its name, and then those of the table before them go.
    """

    @model_validator(mode="after")
    def _fits(self) -> "UrlSink":
        if holds_template(self.url) or holds_template(self.format):
            return self
        fault = self.location_fault()
        if fault is not None:
            raise refuse("BAD_CONFIG", fault)
        if "*" in self.url:
            raise refuse("BAD_URL", "an object to write is named without *")
        if self.partition_by and not is_object(self.url):
            raise refuse("BAD_CONFIG", '"partitionBy" makes many files; they go to a path or into an object store')
        self._require_format(self.url.partition("?")[0])
        return self

    @property
    def kind(self) -> str:
        """The format that is written."""
        return self.format_by(self.url.partition("?")[0]) or "parquet"


class TableSink(Database):
    """`{"database": "postgresql://…", "table": "reports.late", "ifExists": "replace"}`: all rows in one transaction.

    A table that is not there is made. `append` adds to one that is, `replace` empties it first, `fail` leaves it.
    """

    table: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,62}(\.[A-Za-z_][A-Za-z0-9_]{0,62})?$")
    if_exists: IfTableExists = "append"


SINK_KINDS: dict[str, type[DataModel]] = {"path": FileSink, "url": UrlSink, "database": TableSink}
AnySink = FileSink | UrlSink | TableSink
_SINKS = '{"path": "file"}, {"url": "…"} or {"database": "…", "table": "…"}'


def _sink_kind(value: Any) -> str | None:
    keys: Iterable[str] = value if isinstance(value, dict) else ()
    return next((f"sink:{key}" for key in SINK_KINDS if key in keys), None)


def _say_what_there_is(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    if not holds_template(value) and _sink_kind(value) is None:
        raise refuse("MISSING_FIELD" if isinstance(value, dict) else "BAD_CONFIG", f"a sink is one of {_SINKS}")
    return handler(value)


Sink = Annotated[
    Annotated[FileSink, Tag("sink:path")]
    | Annotated[UrlSink, Tag("sink:url")]
    | Annotated[TableSink, Tag("sink:database")],
    Discriminator(_sink_kind),
    WrapValidator(_say_what_there_is),
]
