"""SQLite files under the data roots: queries that can only read, rows written in one transaction."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import date, datetime, timedelta
from datetime import time as day_time
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl

from agents.data.remote.parts import Parts
from agents.data.sinks import TableSink
from agents.data.sources import DatabaseSource
from agents.errors import AgentTimeout, DataFailed

STEPS_BETWEEN_LOOKS = 10_000
BUSY_SECONDS = 10.0
WRITE_ROWS = 20_000
_READING = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE})
_FORBIDDEN_FUNCTIONS = frozenset({"load_extension", "readfile", "writefile", "edit", "fts3_tokenizer"})

Check = Callable[[], None]
"""Raises when the step has been cancelled."""


def fetch_query(source: DatabaseSource, database: Path, folder: Path, check: Check) -> list[Path]:
    """Runs the query and writes its rows as Parquet files; blocks. Raises `DataFailed` or `AgentTimeout`."""
    with _opened(f"{database.as_uri()}?mode=ro", source.timeout_seconds, check) as connection:
        connection.set_authorizer(_only_reads)
        connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
        cursor = connection.execute(source.query)
        parts = Parts(folder, [(column[0], None, None) for column in cursor.description or ()])
        while rows := cursor.fetchmany(parts.batch_rows):
            parts.add(rows)
        parts.finish()
    return parts.files


def write_table(sink: TableSink, database: Path, table: Path, check: Check) -> None:
    """Adds the rows of a Parquet file to the table, all of them or none; blocks."""
    frame = pl.scan_parquet(table, glob=False)
    schema = frame.collect_schema()
    name = ".".join(f'"{part}"' for part in sink.table.split("."))
    columns = ", ".join(_quoted(column) for column in schema)
    places = ", ".join("?" for _ in schema)
    with _opened(f"{database.as_uri()}?mode=rwc", sink.timeout_seconds, check) as connection:
        connection.execute("BEGIN IMMEDIATE")
        _make_room(connection, sink, name, schema)
        for batch in frame.collect_batches(chunk_size=WRITE_ROWS):
            check()
            values = ([_stored(value) for value in row] for row in batch.rows())
            connection.executemany(f"INSERT INTO {name} ({columns}) VALUES ({places})", values)  # noqa: S608 - quoted
        connection.execute("COMMIT")


def _make_room(connection: sqlite3.Connection, sink: TableSink, name: str, schema: pl.Schema) -> None:
    exists = connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", [sink.table]).fetchone()
    if exists is None:
        definition = ", ".join(f"{_quoted(column)} {_affinity(dtype)}" for column, dtype in schema.items())
        connection.execute(f"CREATE TABLE {name} ({definition})")
    elif sink.if_exists == "fail":
        message = f'sink: the table {sink.table} exists; set "ifExists" to "append" or "replace"'
        raise DataFailed(message, path="sink.table")
    elif sink.if_exists == "replace":
        connection.execute(f"DELETE FROM {name}")  # noqa: S608 - quoted


@contextmanager
def _opened(uri: str, seconds: float, check: Check) -> Iterator[sqlite3.Connection]:
    deadline = time.monotonic() + seconds
    stopped: list[BaseException] = []

    def look() -> int:
        try:
            check()
        except Exception as error:
            stopped.append(error)
            return 1
        return int(time.monotonic() > deadline)

    try:
        with closing(sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None)) as connection:
            connection.set_progress_handler(look, STEPS_BETWEEN_LOOKS)
            yield connection
    except sqlite3.Error as error:
        if stopped:
            raise stopped[0] from None
        if time.monotonic() > deadline:
            message = f"the database needed more than {seconds:g} s; raise `timeoutSeconds`"
            raise AgentTimeout(message, path="timeoutSeconds") from None
        raise DataFailed(f"the database says: {error}", path="query") from None


def _only_reads(action: int, first: str | None, second: str | None, *_: object) -> int:
    if action not in _READING or (action == sqlite3.SQLITE_FUNCTION and (second or "") in _FORBIDDEN_FUNCTIONS):
        return sqlite3.SQLITE_DENY
    return sqlite3.SQLITE_OK


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _affinity(dtype: pl.DataType) -> str:
    if dtype.is_integer() or dtype == pl.Boolean():
        return "INTEGER"
    return "REAL" if dtype.is_float() else "BLOB" if dtype == pl.Binary() else "TEXT"


def _stored(value: Any) -> Any:
    """SQLite has numbers, text and bytes; the rest is written as text."""
    match value:
        case datetime() | date() | day_time():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case Decimal() | list() | dict():
            return str(value)
        case _:
            return value
