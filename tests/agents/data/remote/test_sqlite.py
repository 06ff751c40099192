import sqlite3
from pathlib import Path
from typing import Any

import pytest

from agents.errors import AgentTimeout, DataFailed, InputInvalid
from tests.agents.data.remote.conftest import RunRemote


@pytest.fixture
def shop(data_root: Path) -> Path:
    file = data_root / "shop.db"
    connection = sqlite3.connect(file)
    connection.execute("CREATE TABLE orders (id INTEGER, item TEXT, price REAL)")
    connection.executemany("INSERT INTO orders VALUES (?, ?, ?)", [(1, "a", 1.5), (2, None, 2), (3, "c", None)])
    connection.commit()
    connection.close()
    return file


def content(file: Path) -> bytes:
    return file.read_bytes()


def source(query: str, **rest: Any) -> dict[str, Any]:
    return {"source": {"database": "sqlite:///shop.db", "query": query, **rest}, "operations": []}


async def test_a_query_gives_a_table(run_remote: RunRemote, shop: Path) -> None:
    output = (await run_remote(source("SELECT id, item, price FROM orders ORDER BY id"))).output
    assert output["schema"] == {"id": "Int64", "item": "String", "price": "Float64"}
    assert output["data"] == [
        {"id": 1, "item": "a", "price": 1.5},
        {"id": 2, "item": None, "price": 2.0},
        {"id": 3, "item": "c", "price": None},
    ]


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM orders",
        "CREATE TABLE t (a)",
        "ATTACH '/etc/passwd' AS other",
        "PRAGMA writable_schema = on",
        "VACUUM INTO '/tmp/copy.db'",
        "SELECT load_extension('/tmp/x.so')",
        "SELECT 1; SELECT 2",
        "SELECT nothing FROM orders",
        "SELECT id AS x, price AS x FROM orders",
        "SELECT CASE id WHEN 1 THEN 'text' ELSE id END AS mixed FROM orders",
    ],
)
async def test_a_query_only_reads_this_file(run_remote: RunRemote, shop: Path, query: str) -> None:
    before = content(shop)
    with pytest.raises(DataFailed, match=r"^source: ") as caught:
        await run_remote(source(query))
    assert caught.value.path == "source.query"
    assert content(shop) == before


async def test_a_file_outside_the_roots_is_not_opened(run_remote: RunRemote, shop: Path, tmp_path: Path) -> None:
    (tmp_path / "outside.db").write_bytes(content(shop))
    (shop.parent / "link.db").symlink_to(tmp_path / "outside.db")
    for path in ("link.db", str(tmp_path / "outside.db"), "missing.db"):
        with pytest.raises(InputInvalid) as caught:
            await run_remote({"source": {"database": f"sqlite:///{path}", "query": "SELECT 1"}, "operations": []})
        assert caught.value.code in ("PATH_REFUSED", "PATH_NOT_FOUND")


async def test_an_endless_query_is_ended(run_remote: RunRemote, shop: Path) -> None:
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT MAX(i) FROM n"
    with pytest.raises(AgentTimeout, match="timeoutSeconds"):
        await run_remote(source(endless, timeoutSeconds=0.2))


async def test_rows_are_written_all_or_none(run_remote: RunRemote, data_root: Path) -> None:
    def writing(rows: list[dict[str, Any]], **sink: Any) -> dict[str, Any]:
        return {
            "source": {"rows": rows},
            "operations": [],
            "sink": {"database": "sqlite:///out.db", "table": "t", **sink},
        }

    def held() -> list[tuple[Any, ...]]:
        connection = sqlite3.connect(data_root / "out.db")
        try:
            return connection.execute("SELECT * FROM t").fetchall()
        finally:
            connection.close()

    await run_remote(writing([{"a": 1, "b": "x"}, {"a": 2, "b": None}]))
    await run_remote(writing([{"a": 3, "b": "z"}]))
    assert held() == [(1, "x"), (2, None), (3, "z")]
    with pytest.raises(DataFailed, match="sink"):
        await run_remote(writing([{"a": 4, "c": 1}], ifExists="replace"))
    assert len(held()) == 3
    await run_remote(writing([{"a": 5, "b": "!"}], ifExists="replace"))
    assert held() == [(5, "!")]
