import datetime as dt
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import polars as pl
import psycopg
import pytest

from agents.egress.policy import EgressPolicy
from agents.errors import AgentError, AgentTimeout, ConnectionFailed, DataFailed, EgressRefused
from tests.agents.data.conftest import FolderDatasets
from tests.agents.data.remote.conftest import RunRemote

TYPES = """
    SELECT 1::smallint AS s, 2::int AS i, 3::bigint AS b, 1.5::real AS f, 2.5::float8 AS d, true AS yes, 'x' AS t,
    'y'::varchar(3) AS v, 12.34::numeric(6, 2) AS n, 1.25::numeric AS loose, DATE '2013-01-02' AS day,
    TIME '10:30' AS hour, TIMESTAMP '2013-01-02 10:30:00.5' AS at,
    TIMESTAMPTZ '2013-01-02 10:30:00+02' AS there, INTERVAL '90 minutes' AS took, '\\x00ff'::bytea AS raw,
    ARRAY[1, 2]::int[] AS list, '{"a": [1]}'::jsonb AS doc, '192.0.2.1'::inet AS ip,
    '00000000-0000-0000-0000-000000000001'::uuid AS id, NULL::int AS nothing
"""


def source(url: str, query: str, **rest: Any) -> dict[str, Any]:
    return {"source": {"database": url, "query": query, **rest}, "operations": []}


def dataset(output: dict[str, Any], datasets: FolderDatasets) -> pl.DataFrame:
    return pl.read_parquet(datasets.locate(output["dataset"]["uri"]))


async def test_a_query_gives_a_table_with_its_types(
    run_remote: RunRemote, postgres_url: str, datasets: FolderDatasets
) -> None:
    output = (await run_remote(source(postgres_url, TYPES))).output
    found = dataset(output, datasets)
    assert found.row(0, named=True) == {
        "s": 1,
        "i": 2,
        "b": 3,
        "f": 1.5,
        "d": 2.5,
        "yes": True,
        "t": "x",
        "v": "y",
        "n": Decimal("12.34"),
        "loose": 1.25,
        "day": dt.date(2013, 1, 2),
        "hour": dt.time(10, 30),
        "at": dt.datetime(2013, 1, 2, 10, 30, 0, 500_000),  # noqa: DTZ001 - it has no zone
        "there": dt.datetime(2013, 1, 2, 8, 30, tzinfo=dt.UTC),
        "took": dt.timedelta(minutes=90),
        "raw": b"\x00\xff",
        "list": [1, 2],
        "doc": '{"a": [1]}',
        "ip": "192.0.2.1",
        "id": "00000000-0000-0000-0000-000000000001",
        "nothing": None,
    }
    assert found.schema["s"] == pl.Int64()
    assert found.schema["n"] == pl.Decimal(6, 2)
    assert found.schema["there"] == pl.Datetime("us", "UTC")


async def test_rows_come_in_batches_and_no_row_is_a_table_too(run_remote: RunRemote, postgres_url: str) -> None:
    query = "SELECT n, 'row ' || n AS t FROM generate_series(1, 120000) AS s (n)"
    config = source(postgres_url, query)
    config["operations"] = [
        {"op": "reduce", "aggregations": {"n": "COUNT(*)", "s": "SUM(n)", "u": "COUNT(DISTINCT t)"}}
    ]
    assert (await run_remote(config)).output["data"] == [{"n": 120_000, "s": 7_200_060_000, "u": 120_000}]
    empty = (await run_remote(source(postgres_url, "SELECT 1 AS a, 'x' AS b WHERE false"))).output
    assert (empty["rows"], empty["schema"]) == (0, {"a": "Int64", "b": "String"})


@pytest.fixture
def kept(empty_database_url: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection to the same database, in which the table `kept` has one row."""
    connection = psycopg.connect(empty_database_url, autocommit=True)
    connection.execute("CREATE TABLE kept (a int, b text)")
    connection.execute("INSERT INTO kept VALUES (1, 'x')")
    connection.execute(
        "CREATE FUNCTION add_row() RETURNS int LANGUAGE sql AS 'INSERT INTO kept VALUES (2, NULL) RETURNING a'"
    )
    yield connection
    connection.close()


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM kept",
        "SELECT 1; DELETE FROM kept",
        "SELECT 1; COMMIT; DELETE FROM kept",
        "WITH gone AS (DELETE FROM kept RETURNING a) SELECT a FROM gone",
        "COPY kept TO STDOUT",
        "SELECT add_row() AS x",
        "SELECT set_config('transaction_read_only', 'off', false) AS s, add_row() AS x",
        "SELECT 1 AS a, 2 AS a",
        "SELECT nothing FROM kept",
    ],
)
async def test_a_query_only_reads(
    run_remote: RunRemote, postgres_url: str, kept: psycopg.Connection[Any], query: str
) -> None:
    with pytest.raises(DataFailed, match=r"^source: ") as caught:
        await run_remote(source(postgres_url, query))
    assert caught.value.path == "source.query"
    assert kept.execute("SELECT a, b FROM kept").fetchall() == [(1, "x")]


async def test_a_query_that_takes_too_long_is_ended(run_remote: RunRemote, postgres_url: str) -> None:
    with pytest.raises(AgentTimeout, match="timeoutSeconds"):
        await run_remote(source(postgres_url, "SELECT pg_sleep(60)", timeoutSeconds=0.2))


async def test_the_host_is_checked_by_the_guard(run_remote: RunRemote, postgres_url: str) -> None:
    for url in (postgres_url, "postgresql://localhost/d", "postgresql://169.254.169.254/d", "postgresql://[::1]/d"):
        with pytest.raises(EgressRefused, match="may not be reached") as caught:
            await run_remote(source(url, "SELECT 1"), egress=EgressPolicy())
        assert caught.value.path is not None
        assert caught.value.path.startswith("source")


async def test_a_database_that_is_not_there(run_remote: RunRemote, postgres_url: str) -> None:
    with pytest.raises(ConnectionFailed, match="does not exist"):
        await run_remote(source(f"{postgres_url}x", "SELECT 1"))
    with pytest.raises(ConnectionFailed):
        await run_remote(source("postgresql://127.0.0.1:9/d", "SELECT 1"))


ROWS = [{"a": 1, "b": "x\t'y'\n", "c": [1, 2]}, {"a": 2, "b": None, "c": None}]


def writing(url: str, rows: list[dict[str, Any]], **sink: Any) -> dict[str, Any]:
    return {"source": {"rows": rows}, "operations": [], "sink": {"database": url, "table": "made", **sink}}


async def test_rows_are_written_all_or_none(
    run_remote: RunRemote, postgres_url: str, kept: psycopg.Connection[Any]
) -> None:
    output = (await run_remote(writing(postgres_url, ROWS))).output
    assert output["sink"] == {"table": "made"}
    assert kept.execute("SELECT * FROM made").fetchall() == [(1, "x\t'y'\n", [1, 2]), (2, None, None)]
    await run_remote(writing(postgres_url, ROWS[:1]))
    assert kept.execute("SELECT count(*) FROM made").fetchone() == (3,)
    kept.execute("ALTER TABLE made ADD CHECK (a < 10)")
    many = [{"a": number, "b": "", "c": None} for number in range(20)]
    for how in ("append", "replace"):
        with pytest.raises(DataFailed, match=r"^sink: the database says: .*violates check"):
            await run_remote(writing(postgres_url, many, ifExists=how))
        assert kept.execute("SELECT count(*) FROM made").fetchone() == (3,)
    with pytest.raises(DataFailed, match="exists"):
        await run_remote(writing(postgres_url, ROWS, ifExists="fail"))
    await run_remote(writing(postgres_url, ROWS[:1], ifExists="replace"))
    assert kept.execute("SELECT count(*) FROM made").fetchone() == (1,)


async def test_a_password_appears_in_no_error(run_remote: RunRemote, postgres_url: str) -> None:
    url = postgres_url.replace("://postgres@", "://postgres:hush-hush@") + "x"
    with pytest.raises(AgentError) as caught:
        await run_remote(source(url, "SELECT 1"))
    assert "hush-hush" not in f"{caught.value.message} {caught.value.details}"
