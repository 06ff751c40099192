"""Where a table comes from: rows in the config, an input of the agent, files, URLs or a database."""

from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    Discriminator,
    Field,
    Tag,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

from agents.data.addresses import Database, Located
from agents.data.column_types import TypeName
from agents.data.formats import FilePath, Reading
from agents.data.model import DataModel, holds_template, refuse


def _check_rows(value: list[Any]) -> list[Any]:
    for index, row in enumerate(value):
        if not isinstance(row, dict) or not all(isinstance(key, str) for key in row):
            raise refuse("BAD_CONFIG", f"row {index} is no JSON object; rows are objects: column name to value")
    return value


class RowsSource(DataModel):
    """`{"rows": [{"a": 1}], "types": {"b": "int64"}}`.

    `types` fixes the types of columns; columns that no row has are added as nulls, so that an empty list still has
    the columns that the operations need.
    """

    rows: Annotated[list[Any], AfterValidator(_check_rows)]
    types: dict[str, TypeName] = Field(default_factory=dict)


class InputSource(DataModel):
    """`{"input": "flights"}`: the agent's input of that name: rows, or the output of another DATA step."""

    input: str
    types: dict[str, TypeName] = Field(default_factory=dict)
    """As in `RowsSource`; only for inputs that are rows."""


class FileSource(Reading):
    """`{"path": "nyc/flights-*.parquet"}`: one file, several by `*`, `**`, `?` and `[…]`, or a folder of Parquet files.

    Relative paths are looked up in each data root in order.
    """

    path: FilePath


class UrlSource(Located, Reading):
    """`{"url": "https://example.com/flights.csv"}` or `{"url": "s3://bucket/2013/*.parquet", "credentials": {…}}`.

    A file behind http or https is fetched first. In object stores `*` and `**` name several objects, and only the
    columns and rows that the operations need are read; Excel and JSON are fetched whole, one object each.
    """

    @model_validator(mode="after")
    def _fits(self) -> "UrlSource":
        fault = self.location_fault()
        if fault is not None:
            raise refuse("BAD_CONFIG", fault)
        return self


class DatabaseSource(Database):
    """`{"database": "postgresql://reader@db.example.com/shop", "password": "{{ secrets.pg }}", "query": "SELECT …"}`.

    One query, in a transaction that can change nothing. `sqlite:///shop.db` names a file under the data roots.
    """

    query: str = Field(min_length=1, max_length=100_000)


SOURCE_KINDS: dict[str, type[DataModel]] = {
    "rows": RowsSource,
    "input": InputSource,
    "path": FileSource,
    "url": UrlSource,
    "database": DatabaseSource,
}
AnySource = RowsSource | InputSource | FileSource | UrlSource | DatabaseSource
RemoteSource = UrlSource | DatabaseSource

_SOURCES = '{"rows": […]}, {"input": "name"}, {"path": "file"}, {"url": "…"} or {"database": "…", "query": "…"}'
_REFUSED_KINDS = {"uri": "url", "http": "url", "sql": "database", "connection": "database", "table": "database"}
_REFUSED_KINDS |= {"query": "database", "dataset": "input"}


def source_kind(value: Any) -> str | None:
    """The tag of the union: which key says where the rows come from."""
    if isinstance(value, DataModel):
        return next(f"source:{key}" for key, model in SOURCE_KINDS.items() if isinstance(value, model))
    if not isinstance(value, dict):
        return None
    return next((f"source:{key}" for key in SOURCE_KINDS if key in value), None)


def _say_what_there_is(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    if not isinstance(value, dict) and not holds_template(value):
        raise refuse("BAD_CONFIG", f"a source is an object: {_SOURCES}")
    if isinstance(value, dict) and source_kind(value) is None:
        raise _no_source(value)
    return handler(value)


def _no_source(keys: Iterable[str]) -> Exception:
    refused = [key for key in keys if key in _REFUSED_KINDS]
    if refused:
        meant = _REFUSED_KINDS[refused[0]]
        return refuse("UNSUPPORTED_SOURCE", f'"{refused[0]}" names no source, did you mean "{meant}"? Use {_SOURCES}')
    return refuse("MISSING_FIELD", f"a source is one of {_SOURCES}")


Source = Annotated[
    Annotated[RowsSource, Tag("source:rows")]
    | Annotated[InputSource, Tag("source:input")]
    | Annotated[FileSource, Tag("source:path")]
    | Annotated[UrlSource, Tag("source:url")]
    | Annotated[DatabaseSource, Tag("source:database")],
    Discriminator(source_kind),
    WrapValidator(_say_what_there_is),
]
