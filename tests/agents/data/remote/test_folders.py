"""Partitioned tables in an object store: all there or as before."""

import asyncio
import re
from collections.abc import Callable
from typing import Any

import httpx
import obstore
import pytest
from obstore.exceptions import GenericError

from agents.errors import AgentError, ConnectionFailed
from tests.agents.data.remote.conftest import RunRemote

KEYS = {"accessKeyId": "test", "secretAccessKey": "test"}
ROWS = [
    {"origin": origin, "month": month, "n": n} for n, (origin, month) in enumerate([("JFK", 1), ("JFK", 2), ("LGA", 1)])
]


@pytest.fixture
def at(s3_server: str, bucket: str) -> Callable[..., dict[str, Any]]:
    """`at("late", partitionBy=[…])`: a place in the bucket."""
    return lambda key, **rest: {"url": f"s3://{bucket}/{key}", "endpointUrl": s3_server, "credentials": KEYS, **rest}


@pytest.fixture
def names(s3_server: str, bucket: str) -> Callable[[], list[str]]:
    """All keys of the bucket."""
    return lambda: re.findall("<Key>([^<]*)</Key>", httpx.get(f"{s3_server}/{bucket}?list-type=2").text)


def written(sink: dict[str, Any], rows: Any = ROWS) -> dict[str, Any]:
    return {"source": {"rows": rows}, "operations": [], "sink": sink}


def read(place: dict[str, Any]) -> dict[str, Any]:
    return {"source": place, "operations": [{"op": "sort", "by": ["n"]}]}


async def test_a_folder_is_written_and_read_back(run_remote: RunRemote, at: Any, names: Any) -> None:
    sink = (await run_remote(written(at("late", partitionBy=["origin", "month"])))).output["sink"]
    assert sink["format"] == "parquet"
    assert sink["bytes"] > 0
    shapes = [re.sub(r"[0-9a-f]{16}-\d+", "*", name) for name in names()]
    assert shapes == [f"late/origin={o}/month={m}/*.parquet" for o, m in (("JFK", 1), ("JFK", 2), ("LGA", 1))]
    for place in (at("late/**/*.parquet"), at("late/", format="parquet")):
        assert sorted((await run_remote(read(place))).output["data"], key=lambda row: row["n"]) == [
            {"n": row["n"], "origin": row["origin"], "month": row["month"]} for row in ROWS
        ]
    one = {"op": "filter", "where": "origin = 'LGA'"}
    config = {"source": at("late/*/*/*.parquet"), "operations": [one]}
    assert [row["n"] for row in (await run_remote(config)).output["data"]] == [2]


async def test_values_that_are_no_plain_names_come_back(run_remote: RunRemote, at: Any) -> None:
    values = ["a/b", "ü x", "a=b", "..", "100%", "%2F", "x:y?", "", None, "a+b&c", "é\u0301"]
    rows = [{"k": value, "n": n} for n, value in enumerate(values)]
    await run_remote(written(at("odd", partitionBy=["k"]), rows))
    found = (await run_remote(read(at("odd/**/*.parquet")))).output["data"]
    assert [row["k"] for row in found] == values


async def test_what_was_there_of_such_a_table_goes_and_nothing_else(
    run_remote: RunRemote, at: Any, names: Any, s3_server: str, bucket: str
) -> None:
    beside = ["late/notes.txt", "late/origin=JFK/readme.md", "late/other/x.parquet", "later/origin=JFK/x.parquet"]
    for name in beside:
        await asyncio.to_thread(httpx.put, f"{s3_server}/{bucket}/{name}", content=b"x")
    await run_remote(written(at("late", partitionBy=["origin"])))
    await run_remote(written(at("late", partitionBy=["origin"]), [{"origin": "EWR", "n": 7}]))
    left = [name for name in names() if name not in beside]
    assert len(left) == 1
    assert left[0].startswith("late/origin=EWR/")
    assert set(beside) <= set(names())


@pytest.mark.parametrize("failing", ["put_async", "copy_async"])
async def test_a_failure_leaves_the_folder_as_it_was(
    run_remote: RunRemote, at: Any, names: Any, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    sink = at("late", partitionBy=["origin", "month"])
    await run_remote(written(sink))
    before, real, calls = names(), getattr(obstore, failing), []

    async def second_fails(*details: Any) -> Any:
        calls.append(details)
        if len(calls) == 2:
            raise GenericError("the store is on fire")
        return await real(*details)

    monkeypatch.setattr(obstore, failing, second_fails)
    with pytest.raises(ConnectionFailed, match=r"^sink: s3://.*/late: the store is on fire"):
        await run_remote(written(sink, [*ROWS, {"origin": "EWR", "month": 3, "n": 9}]))
    assert len(calls) >= 2
    assert names() == before


async def test_a_cancelled_step_leaves_nothing(
    run_remote: RunRemote, at: Any, names: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, sent = obstore.put_async, asyncio.Event()

    async def then_hangs(*details: Any) -> Any:
        await real(*details)
        sent.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(obstore, "put_async", then_hangs)
    task = asyncio.ensure_future(run_remote(written(at("late", partitionBy=["origin"]))))
    async with asyncio.timeout(60):
        await sent.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert names() == []


@pytest.mark.parametrize(
    ("rows", "columns", "message"),
    [
        ([{"k": "a*", "n": 1}], ["k"], 'the column "k" has values with'),
        ([{"k": str(n), "n": 1} for n in range(5)], ["k"], "they make 5 folders; at most 3"),
        ([{"k": [1], "n": 1}], ["k"], 'the column "k" is List'),
        ([{"../k": 1, "n": 1}], ["../k"], r'no folder can be named after the column "\.\./k"'),
        ([{"..": 1, "n": 1}], [".."], "no folder can be named"),
        ([{"k": 1}], ["k"], "all columns are partitioned by"),
        ([{"k": 1}], ["z"], 'column "z" not found; there are: k'),
    ],
)
async def test_what_makes_no_folders_is_refused(
    run_remote: RunRemote, at: Any, names: Any, monkeypatch: pytest.MonkeyPatch, rows: Any, columns: Any, message: str
) -> None:
    monkeypatch.setattr("agents.data.partitions.MAX_PARTITIONS", 3)
    for sink in (at("late", partitionBy=columns), {"path": "late", "partitionBy": columns}):
        with pytest.raises(AgentError, match=message) as caught:
            await run_remote(written(sink, rows))
        assert str(caught.value.path).startswith("sink")
    assert names() == []
