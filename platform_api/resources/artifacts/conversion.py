"""Tables from one file format into another, in a thread, streamed by Polars from file to file."""

from collections.abc import Callable
from pathlib import Path

import orjson
import polars as pl

from agents.data.failures import POLARS_FAILURES, polars_reason
from agents.data.json_rows import json_value
from agents.data.stopping import StopSignal
from agents.errors import LimitExceeded
from platform_api.errors import ServiceUnavailable, ValidationFailed
from platform_api.resources.artifacts.schemas import Format

MEDIA_TYPES = {
    Format.CSV: "text/csv",
    Format.PARQUET: "application/vnd.apache.parquet",
    Format.JSON: "application/json",
    Format.ARROW: "application/vnd.apache.arrow.file",
}
_SCANS: dict[str, Callable[[Path], pl.LazyFrame]] = {
    "text/csv": lambda path: pl.scan_csv(path, glob=False),
    "application/vnd.apache.parquet": lambda path: pl.scan_parquet(path, glob=False),
    "application/vnd.apache.arrow.file": lambda path: pl.scan_ipc(path, glob=False),
    "application/x-ndjson": lambda path: pl.scan_ndjson(path),
}


def is_table(media_type: str) -> bool:
    """Whether a file of that type can be converted."""
    return _bare(media_type) in _SCANS


def is_already(media_type: str, wanted: Format) -> bool:
    """Whether there is nothing to convert."""
    return _bare(media_type) == MEDIA_TYPES[wanted]


def convert(source: Path, media_type: str, wanted: Format, target: Path, stop: StopSignal) -> None:
    """Writes `source` to `target` as `wanted`; raises `ValidationFailed` for a table that the format cannot hold,
    and `ServiceUnavailable` when the memory does not suffice.

    Cells stay data: CSV gets a text that begins like a formula as it is. In CSV lists and objects are JSON texts; in
    CSV and JSON bytes are base64 and durations seconds.
    """
    try:
        frame = stop.checkpoint(_SCANS[_bare(media_type)](source))
        match wanted:
            case Format.CSV:
                _flat(frame).sink_csv(target, engine="streaming", check_extension=False)
            case Format.PARQUET:
                frame.sink_parquet(target, engine="streaming")
            case Format.ARROW:
                frame.sink_ipc(target, engine="streaming")
            case Format.JSON:
                _write_json(frame, target)
    except LimitExceeded as error:
        message = (
            f"Too much memory is in use to write the table as {wanted.value}; take it as stored, or try again later"
        )
        raise ServiceUnavailable(message) from error
    except POLARS_FAILURES as error:
        message = f"The table cannot be written as {wanted.value}: {polars_reason(error)}"
        raise ValidationFailed(message) from error


def _write_json(frame: pl.LazyFrame, target: Path) -> None:
    """One array of objects; a line feed inside of a text is escaped, so that each one here ends a row."""
    with target.open("wb") as file:
        separator = b"["

        def write(batch: pl.DataFrame) -> None:
            nonlocal separator
            if batch.is_empty():
                return
            file.write(separator + batch.write_ndjson().strip().replace("\n", ",\n").encode())
            separator = b",\n"

        _plain(frame).sink_batches(write, engine="streaming")
        file.write(b"[]" if separator == b"[" else b"]")


def _plain(frame: pl.LazyFrame) -> pl.LazyFrame:
    """Bytes as base64, durations as seconds: what no text format has."""
    schema = frame.collect_schema()
    return frame.with_columns(
        *(pl.col(name).bin.encode("base64") for name, kind in schema.items() if isinstance(kind, pl.Binary)),
        *(pl.col(name).dt.total_seconds(fractional=True) for name, kind in schema.items() if kind == pl.Duration),
    )


def _flat(frame: pl.LazyFrame) -> pl.LazyFrame:
    """Lists and objects as JSON texts: what a cell of CSV can hold."""
    nested = [name for name, kind in frame.collect_schema().items() if kind.is_nested()]
    texts = (pl.col(name).map_batches(_json_texts, return_dtype=pl.String, is_elementwise=True) for name in nested)
    return _plain(frame).with_columns(texts)


def _json_texts(column: pl.Series) -> pl.Series:
    texts = [None if value is None else orjson.dumps(json_value(value)).decode() for value in column]
    return pl.Series(column.name, texts, dtype=pl.String)


def _bare(media_type: str) -> str:
    return media_type.partition(";")[0].strip().lower()
