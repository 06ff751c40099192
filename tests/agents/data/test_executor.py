import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from agents.context import AgentContext
from agents.data import execution
from agents.data.executor import DataExecutor
from agents.data.stopping import StopSignal
from agents.errors import AgentError, ConfigInvalid, DataFailed, InputInvalid
from agents.spec import AgentSpec, AgentType
from tests.agents.data.conftest import FolderDatasets, LogBook, Run
from tests.fixtures.cost import spent


def files_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


ROWS = [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}, {"a": 3, "b": None}]


def inline(*operations: dict[str, Any], **rest: Any) -> dict[str, Any]:
    return {"source": {"rows": ROWS}, "operations": list(operations), **rest}


async def test_the_output_of_a_small_result(run: Run, datasets: FolderDatasets) -> None:
    result = await run(inline({"op": "limit", "rows": 2}))
    output = result.output
    assert output["rows"] == 2
    assert output["schema"] == {"a": "Int64", "b": "String"}
    assert output["data"] == output["preview"] == result.preview == ROWS[:2]
    assert list(output["dataset"]) == ["uri", "format", "rows", "bytes", "columns"]
    assert pl.read_parquet(datasets.locate(output["dataset"]["uri"])).to_dicts() == ROWS[:2]
    assert json.loads(json.dumps(output)) == output


async def test_the_output_of_a_large_result_holds_a_preview_only(run: Run, numbers_file: Path) -> None:
    output = (await run({"source": {"path": "numbers.parquet"}, "operations": []})).output
    assert output["rows"] == output["dataset"]["rows"] == 5_000
    assert "data" not in output
    assert output["preview"] == [{"n": n, "third": n % 3} for n in range(20)]


async def test_few_but_wide_rows_are_not_put_inline(run: Run) -> None:
    output = (await run({"source": {"rows": [{"t": "x" * 70_000}]}, "operations": []})).output
    assert "data" not in output
    assert output["preview"] == [{"t": "x" * 500 + "…"}]


async def test_an_empty_table_is_a_result(run: Run) -> None:
    output = (await run({"source": {"rows": []}, "operations": []})).output
    assert (output["rows"], output["data"], output["schema"]) == (0, [], {})


async def test_a_pipeline_of_flights_and_weather(run: Run) -> None:
    hours = ["2013-01-01T10:00:00Z", "2013-01-01T11:00:00Z"]
    flights = [
        {"carrier": carrier, "origin": "JFK", "time_hour": hour, "dep_delay": delay}
        for carrier, hour, delay in [
            ("UA", hours[0], 30),
            ("UA", hours[1], 10),
            ("AA", hours[0], 50),
            ("B6", hours[1], None),
        ]
    ]
    weather = [
        {"origin": "JFK", "time_hour": hour, "wind_speed": wind} for hour, wind in zip(hours, (30.0, 5.0), strict=True)
    ]
    cast = {"op": "cast", "columns": {"time_hour": "datetime"}}
    load = await run({"operations": [cast]}, source=flights)
    wind = await run({"operations": [cast]}, source=weather)
    config = {
        "source": {"input": "load"},
        "operations": [
            {"op": "join", "with": {"input": "weather"}, "how": "left", "on": ["origin", "time_hour"]},
            {"op": "drop_nulls", "columns": ["dep_delay"]},
            {"op": "map", "columns": {"windy": "wind_speed > 20"}},
            {
                "op": "group",
                "by": ["carrier"],
                "aggregations": {"delay": "AVG(dep_delay)", "windy": "SUM(windy::bigint)"},
            },
            {"op": "window", "orderBy": [{"column": "delay", "descending": True}], "columns": {"place": "RANK()"}},
            {"op": "sort", "by": ["place"]},
        ],
        "schema": {"carrier": "string", "delay": "float64", "windy": "int64", "place": "int64"},
        "checks": [{"check": "unique", "columns": ["carrier"]}],
    }
    output = (await run(config, load=load.output, weather=wind.output)).output
    assert output["data"] == [
        {"carrier": "AA", "delay": 50.0, "windy": 1, "place": 1},
        {"carrier": "UA", "delay": 20.0, "windy": 1, "place": 2},
    ]


async def test_an_error_names_the_operation_before_any_row_is_read(
    run: Run, datasets: FolderDatasets, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(execution, "_write_table")
    with pytest.raises(DataFailed) as caught:
        await run(inline({"op": "map", "columns": {"c": "a"}}, {"op": "map", "columns": {"d": "bb"}}))
    assert caught.value.path == "operations[1]"
    assert caught.value.message == ('operations[1] (map): column "bb" not found; there are: a, b, c; did you mean "b"?')
    assert caught.value.hint == 'did you mean "b"?'
    assert datasets.staged_files() == []


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "filter", "where": "a"},
        {"op": "map", "columns": {"c": "b + 1"}},
        {"op": "rename", "columns": {"a": "b"}},
        {"op": "unnest", "columns": ["a"]},
        {"op": "rolling", "index": "a", "period": "nonsense", "aggregations": {"n": "COUNT(*)"}},
        {"op": "join", "with": {"rows": [{"a": "text"}]}, "on": ["a"]},
        {"op": "sql", "query": "SELECT nothing FROM self"},
    ],
)
async def test_what_does_not_fit_the_columns_is_an_error_of_its_operation(run: Run, operation: dict[str, Any]) -> None:
    with pytest.raises(DataFailed) as caught:
        await run(inline({"op": "limit", "rows": 3}, operation))
    assert caught.value.path == "operations[1]"
    assert caught.value.message.startswith(f"operations[1] ({operation['op']}): ")
    assert "Resolved plan" not in caught.value.message


@pytest.mark.parametrize("position", [0, 1, 2, 3])
async def test_an_error_in_the_rows_names_the_operation_that_met_them(
    run: Run, datasets: FolderDatasets, position: int
) -> None:
    operations: list[dict[str, Any]] = [{"op": "map", "columns": {f"c{index}": "a"}} for index in range(4)]
    operations[position] = {"op": "cast", "columns": {"b": "int64"}}
    with pytest.raises(DataFailed, match="conversion from `str` to `i64` failed") as caught:
        await run(inline(*operations))
    assert caught.value.path == f"operations[{position}]"
    assert list(datasets.folder.iterdir()) == []


async def test_a_config_that_is_wrong_once_filled_in(run: Run) -> None:
    with pytest.raises(ConfigInvalid, match=r"operations\[0\].rows") as caught:
        await run(inline({"op": "limit", "rows": "5"}))
    assert caught.value.details["problems"][0]["code"] == "BAD_CONFIG"


async def test_a_query_that_reads_files_is_refused_at_run_time_too(run: Run) -> None:
    for operation in (
        {"op": "sql", "query": "SELECT * FROM self WHERE EXISTS (SELECT 1 FROM read_csv('/etc/passwd'))"},
        {"op": "filter", "where": "b IN (SELECT * FROM read_csv('/etc/passwd'))"},
    ):
        with pytest.raises(ConfigInvalid):
            await run(inline(operation))


async def test_a_broken_contract_fails_before_anything_is_written(
    run: Run, datasets: FolderDatasets, data_root: Path
) -> None:
    contract = {"a": "string", "c": "int64"}
    with pytest.raises(DataFailed) as caught:
        await run(inline(schema=contract, sink={"path": "t.csv"}))
    assert caught.value.path == "schema"
    assert caught.value.message == (
        'schema: column "c" is missing; column "b" is not in the schema; column "a" is Int64, not String'
    )
    assert [*datasets.folder.iterdir(), *files_in(data_root)] == []


CHECKS = [
    ({"check": "not_null", "columns": ["a", "b"]}, 1),
    ({"check": "not_null", "columns": ["a"]}, 0),
    ({"check": "unique", "columns": ["a"]}, 0),
    ({"check": "unique", "columns": ["twice"]}, 2),
    ({"check": "unique", "columns": ["a", "twice"]}, 0),
    ({"check": "in_range", "column": "a", "min": 2}, 1),
    ({"check": "in_range", "column": "a", "min": 1, "max": 3}, 0),
    ({"check": "in_range", "column": "day", "max": "2013-01-01"}, 3),
    ({"check": "accepted_values", "column": "b", "values": ["x"]}, 1),
    ({"check": "accepted_values", "column": "day", "values": ["2013-01-02"]}, 0),
    ({"check": "row_count", "min": 5}, 2),
    ({"check": "row_count", "max": 1}, 2),
    ({"check": "row_count", "min": 3, "max": 3}, 0),
    ({"check": "expression", "expression": "a > 1 OR b = 'x'"}, 0),
    ({"check": "expression", "expression": "b <> 'y'"}, 1),
]


@pytest.mark.parametrize(("check", "failed"), CHECKS)
async def test_checks_count_the_rows_that_break_them(run: Run, check: dict[str, Any], failed: int) -> None:
    extra = {"op": "map", "columns": {"twice": "1", "day": "DATE '2013-01-02'"}}
    output = (await run(inline(extra, checks=[{**check, "severity": "WARN"}]))).output
    (record,) = output["checks"]
    assert (record["check"], record["failed"], record["passed"]) == (check["check"], failed, failed == 0)


async def test_a_warning_is_recorded_and_logged(run: Run, log: LogBook) -> None:
    await run(inline(checks=[{"check": "not_null", "columns": ["b"], "severity": "WARN"}]))
    assert ("WARN", "the data breaks checks[0] (not_null of b): 1 row(s)") in log.lines


async def test_an_error_of_a_check_writes_nothing(
    run: Run, datasets: FolderDatasets, data_root: Path, log: LogBook
) -> None:
    checks = [{"check": "row_count", "min": 1}, {"check": "not_null", "columns": ["b"]}]
    with pytest.raises(DataFailed, match=r"checks\[1\] \(not_null of b\): 1 row") as caught:
        await run(inline(checks=checks, sink={"path": "t.csv"}))
    assert [record["passed"] for record in caught.value.details["checks"]] == [True, False]
    assert [*datasets.folder.iterdir(), *files_in(data_root)] == []
    assert any(level == "ERROR" for level, _ in log.lines)


@pytest.mark.parametrize(
    "check",
    [
        {"check": "not_null", "columns": ["z"]},
        {"check": "in_range", "column": "b", "min": 5},
        {"check": "expression", "expression": "z > 1"},
        {"check": "accepted_values", "column": "a", "values": ["x", {"y": 1}]},
    ],
)
async def test_a_check_that_does_not_fit_fails_by_name(run: Run, check: dict[str, Any]) -> None:
    with pytest.raises(DataFailed) as caught:
        await run(inline(checks=[check]))
    assert caught.value.path is not None
    assert caught.value.path.startswith("checks")


ENDLESS: list[dict[str, Any]] = [
    {"op": "join", "with": {"path": "numbers.parquet"}, "how": "cross"},
    {"op": "join", "with": {"path": "numbers.parquet"}, "how": "cross", "suffix": "_2"},
    {"op": "filter", "where": "SIN(n * n_2) > 2"},
]


async def test_a_cancelled_query_returns_promptly_and_stops(
    context: AgentContext, datasets: FolderDatasets, numbers_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """125 billion rows: only a query that is really stopped leaves the processor idle.

    It is given so much time for its next checkpoint that a busy machine does not end the waiting instead.
    """
    monkeypatch.setattr("agents.data.stopping.GRACE_SECONDS", 30)
    running = asyncio.Event()
    loop = asyncio.get_running_loop()
    check = StopSignal.check

    def checked(signal: StopSignal) -> None:
        loop.call_soon_threadsafe(running.set)
        check(signal)

    monkeypatch.setattr(StopSignal, "check", checked)
    config = {"source": {"path": "numbers.parquet"}, "operations": ENDLESS}
    spec = AgentSpec(id="agent", version=1, name="agent", type=AgentType.DATA, config=config)
    executor = DataExecutor()
    task = asyncio.create_task(executor.run(spec, {}, context))
    await running.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with spent() as afterwards:
        await asyncio.sleep(0.3)
    assert afterwards.seconds < 0.15
    assert datasets.staged_files() == []
    again = AgentSpec(id="agent", version=1, name="agent", type=AgentType.DATA, config=inline())
    assert (await executor.run(again, {}, context)).output["rows"] == 3


async def test_a_run_leaves_the_event_loop_free(run: Run, numbers_file: Path) -> None:
    join = {"op": "join", "with": {"path": "numbers.parquet"}, "how": "cross"}
    config = {
        "source": {"path": "numbers.parquet"},
        "operations": [join, {"op": "reduce", "aggregations": {"n": "COUNT(*)", "s": "SUM(n * n_right)"}}],
    }
    task = asyncio.ensure_future(run(config))
    turns = 0
    while not task.done():
        await asyncio.sleep(0)
        turns += 1
    assert task.result().output["data"][0]["n"] == 25_000_000
    assert turns > 10


@pytest.mark.parametrize("number", [2**31 - 1, 3_000_000_000])
async def test_a_day_that_no_calendar_has_is_a_failure_of_the_data(run: Run, number: int) -> None:
    days = {"source": {"rows": [{"d": number}]}, "operations": [{"op": "cast", "columns": {"d": "date"}}]}
    with pytest.raises(DataFailed):
        await run(days)


async def test_failures_are_always_typed(run: Run) -> None:
    rows = [{"a": 1, "b": [1, 2]}, {"a": "x", "b": {"c": 1}}]
    with pytest.raises(AgentError) as caught:
        await run({"source": {"rows": rows}, "operations": []})
    assert isinstance(caught.value, InputInvalid | DataFailed)


def test_the_check_of_configs_loads_no_executor() -> None:
    program = "import sys, agents.data.config; print([name for name in sys.modules if 'data.exec' in name])"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
