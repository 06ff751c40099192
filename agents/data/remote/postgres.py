"""PostgreSQL: a query read through a cursor of the server, rows copied into a table; both in one transaction."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import polars as pl
import psycopg
from polars.datatypes import DataTypeClass
from psycopg import sql
from psycopg.types.json import set_json_loads

from agents.data.addresses import Database
from agents.data.remote.parts import Convert, Parts
from agents.data.sinks import TableSink
from agents.data.sources import DatabaseSource
from agents.egress.guard import Guard
from agents.errors import AgentTimeout, ConnectionFailed, DataFailed

CONNECT_SECONDS = 10
DEFAULT_PORT = 5432
COPY_ROWS = 20_000

_TYPES: dict[str, pl.DataType] = {
    "bool": pl.Boolean(),
    "int2": pl.Int64(),
    "int4": pl.Int64(),
    "int8": pl.Int64(),
    "oid": pl.Int64(),
    "float4": pl.Float32(),
    "float8": pl.Float64(),
    "date": pl.Date(),
    "time": pl.Time(),
    "timestamp": pl.Datetime("us"),
    "timestamptz": pl.Datetime("us", "UTC"),
    "interval": pl.Duration("us"),
    "bytea": pl.Binary(),
}
"""All others come as text, `numeric` apart. Whole numbers are wide, since those of Polars overflow without a word."""
_SQL_TYPES: tuple[tuple[type[pl.DataType], str], ...] = (
    (pl.Boolean, "boolean"),
    (pl.Float32, "real"),
    (pl.Float64, "double precision"),
    (pl.Date, "date"),
    (pl.Time, "time"),
    (pl.Duration, "interval"),
    (pl.Binary, "bytea"),
)


async def fetch_query(source: DatabaseSource, guard: Guard, folder: Path) -> list[Path]:
    """Runs the query and writes its rows as Parquet files. Raises what `_connected` raises, and `DataFailed`."""
    async with _connected(source, guard, folder, read_only=True) as connection:
        set_json_loads(_as_text, connection)
        async with connection.cursor(name="rows") as cursor:
            await cursor.execute(source.query.encode())
            parts = Parts(folder, [_column(column, connection) for column in cursor.description or ()])
            while rows := await cursor.fetchmany(parts.batch_rows):
                await asyncio.to_thread(parts.add, rows)
            await asyncio.to_thread(parts.finish)
    return parts.files


async def write_table(sink: TableSink, guard: Guard, table: Path, folder: Path) -> None:
    """Copies the rows of a Parquet file into the table: all of them or none."""
    async with _connected(sink, guard, folder, read_only=False) as connection:
        schema = await asyncio.to_thread(lambda: pl.scan_parquet(table, glob=False).collect_schema())
        name = sql.Identifier(*sink.table.split("."))
        found = await (await connection.execute("SELECT to_regclass(%s)", [name.as_string(connection)])).fetchone()
        if found and found[0] is None:
            await connection.execute(_create(name, schema))
        elif sink.if_exists == "fail":
            message = f'sink: the table {sink.table} exists; set "ifExists" to "append" or "replace"'
            raise DataFailed(message, path="sink.table")
        elif sink.if_exists == "replace":
            await connection.execute(sql.SQL("TRUNCATE {}").format(name))
        await _copy(connection, name, table, schema)


async def _copy(connection: psycopg.AsyncConnection, name: sql.Identifier, table: Path, schema: pl.Schema) -> None:
    columns = sql.SQL(", ").join(map(sql.Identifier, schema))
    frame = pl.scan_parquet(table, glob=False)
    async with (
        connection.cursor() as cursor,
        cursor.copy(sql.SQL("COPY {} ({}) FROM STDIN").format(name, columns)) as copy,
    ):
        batches = await asyncio.to_thread(lambda: iter(frame.collect_batches(chunk_size=COPY_ROWS)))
        while (batch := await asyncio.to_thread(next, batches, None)) is not None:
            for row in batch.rows():
                await copy.write_row(row)


def _create(name: sql.Identifier, schema: pl.Schema) -> sql.Composed:
    columns = (
        sql.SQL("{} {}").format(sql.Identifier(column), sql.SQL(_sql_type(dtype))) for column, dtype in schema.items()
    )
    return sql.SQL("CREATE TABLE {} ({})").format(name, sql.SQL(", ").join(columns))


def _sql_type(dtype: pl.DataType | DataTypeClass) -> str:
    if isinstance(dtype, pl.Datetime):
        return "timestamptz" if dtype.time_zone else "timestamp"
    if isinstance(dtype, pl.Decimal):
        return f"numeric({dtype.precision}, {dtype.scale})"
    if isinstance(dtype, pl.List):
        return f"{_sql_type(dtype.inner)}[]"
    if dtype.is_integer():
        return "bigint" if dtype not in (pl.UInt64(), pl.Int128()) else "numeric(39, 0)"
    return next((name for kind, name in _SQL_TYPES if isinstance(dtype, kind)), "text")


def _column(
    column: psycopg.Column, connection: psycopg.AsyncConnection
) -> tuple[str, pl.DataType | None, Convert | None]:
    info = connection.adapters.types.get(column.type_code)
    name = info.name if info else "text"
    if name == "numeric":
        return (column.name, *_numeric(column))
    if info and column.type_code == info.array_oid:
        inner = _TYPES.get(name)
        return (column.name, pl.List(inner), None) if inner is not None else (column.name, pl.String(), str)
    dtype = _TYPES.get(name)
    return (column.name, dtype, None) if dtype is not None else (column.name, pl.String(), str)


def _numeric(column: psycopg.Column) -> tuple[pl.DataType, Convert | None]:
    """A `numeric` without a declared size, such as an average, becomes a Float64."""
    if column.precision and column.precision <= 38 and 0 <= (column.scale or 0) <= column.precision:
        return pl.Decimal(column.precision, column.scale or 0), None
    return pl.Float64(), float


def _as_text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


@asynccontextmanager
async def _connected(
    database: Database, guard: Guard, folder: Path, *, read_only: bool
) -> AsyncIterator[psycopg.AsyncConnection]:
    """One transaction on one of the addresses that the guard has seen; committed at the end.

    Raises `EgressRefused`, `ConnectionFailed`, `AgentTimeout` or `DataFailed`.
    """
    parameters = await _parameters(database, guard, folder)
    try:
        async with await psycopg.AsyncConnection.connect(**parameters) as connection:
            await connection.set_read_only(read_only)
            limit = str(round(database.timeout_seconds * 1000))
            await connection.execute("SELECT set_config('statement_timeout', %s, true)", [limit])
            yield connection
    except psycopg.errors.QueryCanceled:
        message = f"the database needed more than {database.timeout_seconds:g} s; raise `timeoutSeconds`"
        raise AgentTimeout(message, path="timeoutSeconds") from None
    except psycopg.OperationalError as error:
        raise ConnectionFailed(f"the database {parameters['host']}: {_said(error)}") from None
    except psycopg.Error as error:
        raise DataFailed(f"the database says: {_said(error)}", path="query" if read_only else "sink") from None


async def _parameters(database: Database, guard: Guard, folder: Path) -> dict[str, Any]:
    """Everything that libpq would otherwise look for on the worker is set: its files, its tickets."""
    url = urlsplit(database.database)
    host, port = url.hostname or "", url.port or DEFAULT_PORT
    addresses = await guard.check_host(host, port)
    return {
        "host": host,
        "hostaddr": addresses[0],
        "port": port,
        "user": unquote(url.username or ""),
        "password": database.password or unquote(url.password or ""),
        "dbname": unquote(url.path.removeprefix("/")) or "postgres",
        "sslmode": dict(parse_qsl(url.query)).get("sslmode", "prefer"),
        "connect_timeout": CONNECT_SECONDS,
        "application_name": "turbocat",
        "passfile": str(folder / "none"),
        "sslrootcert": str(folder / "none"),
        "sslcertmode": "disable",
        "gssencmode": "disable",
        "require_auth": "none,password,md5,scram-sha-256",
    }


def _said(error: psycopg.Error) -> str:
    primary = error.diag.message_primary or str(error).strip().partition("\n")[0] or type(error).__name__
    return f"{primary}; {error.diag.message_hint}" if error.diag.message_hint else primary
