"""P6: four DATA steps (filter, derive, join, group) beside one hand-written Polars script over the same file."""

import asyncio
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from agents.data.executor import DataExecutor
from agents.spec import AgentSpec, AgentType
from flows.compiler.compile import compile_plan
from flows.compiler.shape import parse_definition
from flows.plan import PlanWorkflow
from flows.runtime.driver import RunDriver
from flows.runtime.log import RunLog
from flows.states import ExecutionStatus
from platform_api.kit.result_store import LocalResultStore
from tests.bench.measure import Figure, median_seconds
from tests.fakes.runtime import MemoryJournal, a_run, some_ports

PLACES = 100_000
GOAL = 1.15
WORKFLOW = PlanWorkflow(id="workflow", name="P6", slug="p6", version=1, tenant_id="tenant", tenant_slug="tenant")

CONFIGS: dict[str, dict[str, Any]] = {
    "late": {"source": {"path": "trips.parquet"}, "operations": [{"op": "filter", "where": "delay > 15"}]},
    "speeds": {"operations": [{"op": "map", "columns": {"speed": "distance / minutes * 60"}}]},
    "placed": {
        "source": {"input": "speeds"},
        "operations": [{"op": "join", "with": {"path": "places.parquet"}, "on": ["place"]}],
    },
    "totals": {
        "operations": [
            {
                "op": "group",
                "by": ["region"],
                "aggregations": {"trips": "COUNT(*)", "speed": "AVG(speed)", "delay": "AVG(delay)"},
            }
        ]
    },
}


def figures(*, rows: int, rounds: int) -> Iterator[Figure]:
    """The script, the four steps fused and apart, and how many times the script they cost."""
    with tempfile.TemporaryDirectory(prefix="turbocat-bench-") as name:
        folder = Path(name)
        write_tables(folder, rows)
        script = median_seconds(lambda: by_hand(folder), rounds=rounds)
        with asyncio.Runner() as runner:
            executor = DataExecutor()
            fused = median_seconds(lambda: runner.run(by_steps(folder, executor)), rounds=rounds)
            apart = median_seconds(lambda: runner.run(by_steps(folder, executor, materialize=True)), rounds=rounds)
            runner.run(executor.aclose())
    label = f"{rows:,} rows"
    yield Figure(f"one Polars script, {label}", script * 1e3, "ms", rounds)
    yield Figure(f"four data steps, {label}", fused * 1e3, "ms", rounds)
    yield Figure(f"four data steps, materialized, {label}", apart * 1e3, "ms", rounds)
    yield Figure(f"P6: steps to script, {label}", fused / script, "x", rounds, goal=GOAL)


def write_tables(folder: Path, rows: int) -> None:
    """Trips that lead to places, each in a region."""
    number = pl.int_range(rows, dtype=pl.Int64)
    pl.select(
        place=number * 7_919 % PLACES,
        delay=number * 31 % 120 - 20,
        distance=(number * 17 % 2_000 + 50).cast(pl.Float64),
        minutes=(number * 13 % 300 + 20).cast(pl.Float64),
        note=number % 50,
    ).write_parquet(folder / "trips.parquet", compression="lz4", row_group_size=500_000)
    place = pl.int_range(PLACES, dtype=pl.Int64)
    pl.select(place=place, region=place % 200).write_parquet(folder / "places.parquet")


def by_hand(folder: Path) -> pl.DataFrame:
    """What a data engineer would write, its result on disk."""
    places = pl.scan_parquet(folder / "places.parquet")
    result = (
        pl.scan_parquet(folder / "trips.parquet")
        .filter(pl.col("delay") > 15)
        .with_columns(speed=pl.col("distance") / pl.col("minutes") * 60)
        .join(places, on="place")
        .group_by("region")
        .agg(pl.len().alias("trips"), pl.col("speed").mean(), pl.col("delay").mean())
        .collect(engine="streaming")
    )
    result.write_parquet(folder / "by-hand.parquet")
    return result


async def by_steps(folder: Path, executor: DataExecutor, *, materialize: bool = False) -> Any:
    """The same as a workflow, driven without Prefect; gives the last step's output."""
    keys = list(CONFIGS)
    agents = {key: AgentSpec(id=key, version=1, name=key, type=AgentType.DATA, config=CONFIGS[key]) for key in keys}
    steps = [
        {
            "stepKey": key,
            "type": "AGENT",
            "agentId": key,
            "materialize": materialize,
            **({"inputs": {before: f"{{{{ {before}.output }}}}"}, "dependsOn": [before]} if before else {}),
        }
        for before, key in zip([None, *keys], keys, strict=False)
    ]
    plan = compile_plan(parse_definition({"steps": steps}), WORKFLOW, agents)
    run = replace(a_run(*plan.steps), plan=plan)
    journal = MemoryJournal(plan)
    ports = some_ports(
        journal=journal,
        results=LocalResultStore(folder / "results"),
        executors={AgentType.DATA: executor},
        data_roots=(folder,),
    )
    async with RunLog(_unwritten, lambda *_: None) as log:
        outcome = await RunDriver(run, ports, log).drive(flow_run_id=run.execution_id, run_count=1)
    assert outcome.status is ExecutionStatus.COMPLETED, outcome
    return outcome.outputs


async def _unwritten(_lines: object) -> None:
    """Nothing of the log is kept."""
