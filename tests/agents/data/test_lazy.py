"""Steps that leave their table to the next one: one query, the same rows, errors that name the operation."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from agents.context import AgentContext
from agents.data.executor import DataExecutor
from agents.errors import DataFailed, InputInvalid
from agents.result import AgentResult
from agents.spec import AgentSpec, AgentType
from tests.agents.data.conftest import FolderDatasets

Step = Callable[..., Awaitable[AgentResult]]


@pytest.fixture
def step(context: AgentContext) -> Step:
    """`await step(config, into="next", lazy=["flights"], flights=…)`."""
    executor = DataExecutor()

    async def run(config: dict[str, Any], into: str | None = None, lazy: Any = (), **inputs: Any) -> AgentResult:
        spec = AgentSpec(id="agent", version=1, name="agent", type=AgentType.DATA, config=config)
        return await executor.run(spec, inputs, replace(context, fused_into=into, lazy_inputs=frozenset(lazy)))

    return run


LOAD = {"source": {"path": "numbers.parquet"}, "operations": [{"op": "filter", "where": "n < 100"}]}
DOUBLE = {"operations": [{"op": "map", "columns": {"double": "n * 2"}}]}
TOTAL = {
    "operations": [
        {"op": "group", "by": ["third"], "aggregations": {"s": "SUM(double)"}},
        {"op": "sort", "by": ["third"]},
    ]
}


async def test_a_chain_is_one_query(
    step: Step, numbers_file: Path, datasets: FolderDatasets, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []
    sink = pl.LazyFrame.sink_parquet
    monkeypatch.setattr(pl.LazyFrame, "sink_parquet", lambda *args, **more: (written.append(1), sink(*args, **more))[1])
    load = (await step(LOAD, into="double")).output
    double = (await step(DOUBLE, into="total", lazy=["load"], load=load)).output
    assert written == []
    assert list(datasets.folder.iterdir()) == []
    assert (load["fusedInto"], load["schema"]) == ("double", {"n": "Int64", "third": "Int64"})
    assert double["schema"] == {"n": "Int64", "third": "Int64", "double": "Int64"}
    total = await step(TOTAL, lazy=["double"], double=double)
    assert written == [1]
    assert total.output["data"] == [
        {"third": third, "s": sum(2 * n for n in range(100) if n % 3 == third)} for third in range(3)
    ]


async def test_errors_name_the_operation_of_the_step_that_was_left_out(step: Step) -> None:
    rows = {"source": {"rows": [{"a": "1"}, {"a": "x"}]}, "operations": [{"op": "cast", "columns": {"a": "int64"}}]}
    with pytest.raises(DataFailed, match='column "b" not found') as early:
        await step({**rows, "operations": [{"op": "drop", "columns": ["b"]}]}, into="next")
    assert early.value.path == "operations[0]"
    left = (await step(rows, into="next")).output
    with pytest.raises(DataFailed, match="conversion from `str` to `i64` failed") as late:
        await step({"operations": [{"op": "limit", "rows": 5}]}, lazy=["left"], left=left)
    assert late.value.path == "inputs.left.operations[0]"


async def test_a_join_takes_such_a_table_too(step: Step, numbers_file: Path) -> None:
    left = (await step(LOAD, into="next")).output
    join = {"op": "join", "with": {"input": "left"}, "on": ["n"]}
    config = {"source": {"rows": [{"n": 5}, {"n": 500}]}, "operations": [join]}
    assert (await step(config, lazy=["left"], left=left)).output["data"] == [{"n": 5, "third": 2}]


@pytest.mark.parametrize("more", [{"checks": [{"check": "row_count", "min": 1}]}, {"sink": {"path": "out.csv"}}])
async def test_what_does_more_than_compute_is_not_left_out(
    step: Step, numbers_file: Path, more: dict[str, Any]
) -> None:
    output = (await step({**LOAD, **more}, into="next")).output
    assert "fusedInto" not in output
    assert output["rows"] == 100
    assert (await step(DOUBLE, lazy=["load"], load=output)).output["rows"] == 100


async def test_what_is_far_away_is_fetched_by_its_own_step(step: Step) -> None:
    far = {"source": {"database": "sqlite:///missing.db", "query": "SELECT 1"}, "operations": []}
    with pytest.raises(InputInvalid, match=r"missing\.db"):
        await step(far, into="next")


async def test_nobody_hands_in_a_plan_of_their_own(step: Step, numbers_file: Path) -> None:
    forged = {"schema": {}, "lazy": {"config": LOAD, "inputs": {}, "lazyInputs": []}}
    with pytest.raises(InputInvalid, match="is no table"):
        await step(DOUBLE, load=forged)
    for broken in ({"lazy": 5}, {"lazy": {"config": LOAD}}):
        with pytest.raises(InputInvalid, match="damaged"):
            await step(DOUBLE, lazy=["load"], load=broken)
