"""Where a table comes from: rows in the config, an input of the agent, or files under the data roots."""

import re
from collections.abc import Iterable
from pathlib import PurePath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag, ValidationInfo, WrapValidator
from pydantic import ValidatorFunctionWrapHandler as Handler

from agents.data.column_types import TypeName
from agents.data.model import DataModel, holds_template, is_unfilled, refuse
from agents.data.suggestions import listed

FileFormat = Literal["csv", "parquet", "ndjson", "json", "ipc"]
FORMATS = ("csv", "parquet", "ndjson", "json", "ipc")
SUFFIXES: dict[str, FileFormat] = {
    ".csv": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".json": "json",
    ".ipc": "ipc",
    ".arrow": "ipc",
    ".feather": "ipc",
}
EXCEL_SUFFIXES = (".xlsx", ".xls", ".xlsb", ".ods")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")

MAX_NAME_BYTES = 200
MAX_PATH_BYTES = 1024
"""Below what file systems take (255 and 4096), with room for the root before it and what a half-written file adds."""


def path_fault(path: str) -> tuple[str, str] | None:
    """The code and message for a path that is refused whatever the data roots are."""
    if "\0" in path or not path.strip():
        return "PATH_REFUSED", "a path is not empty and holds no NUL character"
    if _URL.match(path):
        return "UNSUPPORTED_SOURCE", f"{path[:200]!r}: only files under the data roots can be used, not URLs"
    if ".." in PurePath(path).parts or path.startswith("~"):
        return "PATH_REFUSED", f'{path[:200]!r}: write the path from the data root on, without ".." and "~"'
    if max(map(_bytes, PurePath(path).parts), default=0) > MAX_NAME_BYTES or _bytes(path) > MAX_PATH_BYTES:
        longest = f"a name is at most {MAX_NAME_BYTES} bytes long, a path {MAX_PATH_BYTES}"
        return "PATH_REFUSED", f"{path[:200]!r}: {longest}"
    if PurePath(path).suffix.lower() in EXCEL_SUFFIXES:
        return "UNSUPPORTED_FORMAT", f"Excel files cannot be read here; save {path[:200]!r} as one of {listed(FORMATS)}"
    return None


def _bytes(name: str) -> int:
    return len(name.encode(errors="surrogatepass"))


def format_of(path: str, stated: FileFormat | None) -> FileFormat | None:
    """The format by name or by suffix; None when neither says."""
    return stated or SUFFIXES.get(PurePath(path).suffix.lower())


def _check_path(value: str, info: ValidationInfo) -> str:
    if is_unfilled(value, info):
        return value
    fault = path_fault(value)
    if fault is not None:
        raise refuse(*fault)
    return value


FilePath = Annotated[str, AfterValidator(_check_path)]


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


def _check_format(value: Any, handler: Handler) -> Any:
    if value == "excel":
        raise refuse("UNSUPPORTED_FORMAT", f"Excel files cannot be read here; use one of {listed(FORMATS)}")
    return handler(value)


class FileSource(DataModel):
    """`{"path": "nyc/flights-*.parquet"}`: one file, several by `*`, `**`, `?` and `[…]`, or a folder of Parquet files.

    Relative paths are looked up in each data root in order. `separator`, `hasHeader`, `nullValues`, `parseDates` and
    `types` are for CSV only; a file without header has the columns `column_0`, `column_1`, ….
    """

    path: FilePath
    format: Annotated[FileFormat | None, WrapValidator(_check_format)] = None
    separator: str = Field(default=",", min_length=1, max_length=1)
    has_header: bool = True
    null_values: list[str] = Field(default_factory=list)
    parse_dates: bool = False
    types: dict[str, TypeName] = Field(default_factory=dict)


SOURCE_KINDS: dict[str, type[DataModel]] = {"rows": RowsSource, "input": InputSource, "path": FileSource}
_SOURCES = '{"rows": […]}, {"input": "name"} or {"path": "file"}'
_REFUSED_KINDS = ("url", "uri", "sql", "query", "connection", "database", "table", "dataset", "http")


def source_kind(value: Any) -> str | None:
    """The tag of the union: which key says where the rows come from."""
    if isinstance(value, DataModel):
        return next(f"source:{key}" for key, model in SOURCE_KINDS.items() if isinstance(value, model))
    if not isinstance(value, dict):
        return None
    return next((f"source:{key}" for key in SOURCE_KINDS if key in value), None)


def _say_what_there_is(value: Any, handler: Handler) -> Any:
    if not isinstance(value, dict) and not holds_template(value):
        raise refuse("BAD_CONFIG", f"a source is an object: {_SOURCES}")
    if isinstance(value, dict) and source_kind(value) is None:
        raise _no_source(value)
    return handler(value)


def _no_source(keys: Iterable[str]) -> Exception:
    refused = [key for key in keys if key in _REFUSED_KINDS]
    if refused:
        return refuse("UNSUPPORTED_SOURCE", f'sources of the kind "{refused[0]}" are not supported; use {_SOURCES}')
    return refuse("MISSING_FIELD", f"a source is one of {_SOURCES}")


Source = Annotated[
    Annotated[RowsSource, Tag("source:rows")]
    | Annotated[InputSource, Tag("source:input")]
    | Annotated[FileSource, Tag("source:path")],
    Discriminator(source_kind),
    WrapValidator(_say_what_there_is),
]
