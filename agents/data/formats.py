"""Formats of files, which paths may be named, and how a file is read."""

import re
from pathlib import PurePath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationInfo, ValidatorFunctionWrapHandler, WrapValidator

from agents.data.column_types import TypeName
from agents.data.model import DataModel, holds_template, is_unfilled, refuse
from agents.data.suggestions import listed

FileFormat = Literal["csv", "parquet", "ndjson", "json", "ipc", "excel"]
FORMATS = ("csv", "parquet", "ndjson", "json", "ipc", "excel")
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
    ".xlsx": "excel",
    ".xls": "excel",
    ".xlsb": "excel",
    ".ods": "excel",
}
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")

MAX_NAME_BYTES = 200
MAX_PATH_BYTES = 1024
"""Below what file systems take (255 and 4096), with room for the root before it and what a half-written file adds."""


def path_fault(path: str) -> tuple[str, str] | None:
    """The code and message for a path that is refused whatever the data roots are."""
    if "\0" in path or not path.strip():
        return "PATH_REFUSED", "a path is not empty and holds no NUL character"
    if _URL.match(path):
        return "UNSUPPORTED_SOURCE", f'{path[:200]!r}: a path names files under the data roots; a URL goes into "url"'
    if ".." in PurePath(path).parts or path.startswith("~"):
        return "PATH_REFUSED", f'{path[:200]!r}: write the path from the data root on, without ".." and "~"'
    if max(map(_bytes, PurePath(path).parts), default=0) > MAX_NAME_BYTES or _bytes(path) > MAX_PATH_BYTES:
        longest = f"a name is at most {MAX_NAME_BYTES} bytes long, a path {MAX_PATH_BYTES}"
        return "PATH_REFUSED", f"{path[:200]!r}: {longest}"
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


def _check_format(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    if isinstance(value, str) and not holds_template(value) and value not in FORMATS:
        raise refuse("UNSUPPORTED_FORMAT", f"files cannot be read as {value[:50]!r}; use one of {listed(FORMATS)}")
    return handler(value)


def _check_separator(value: str, info: ValidationInfo) -> str:
    if not is_unfilled(value, info) and (len(value) != 1 or not value.isascii() or value in '"\r\n\0'):
        message = 'a separator is one character of ASCII, such as ";" or a tab, and no quotation mark or end of a line'
        raise refuse("BAD_CONFIG", message)
    return value


Separator = Annotated[str, AfterValidator(_check_separator)]


class Reading(DataModel):
    """How files are read; without `format` their name says what they are.

    `separator`, `hasHeader`, `nullValues`, `parseDates` and `types` are for CSV only; a file without header has the
    columns `column_0`, `column_1`, …. `sheet` is for Excel: a sheet's name or number from 1 on, else the first.
    """

    format: Annotated[FileFormat | None, WrapValidator(_check_format)] = None
    separator: Separator = ","
    has_header: bool = True
    null_values: list[str] = Field(default_factory=list)
    parse_dates: bool = False
    types: dict[str, TypeName] = Field(default_factory=dict)
    sheet: str | int | None = None
