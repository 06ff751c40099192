"""The preview of a fused step, run as a worker runs it after the run itself."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import polars as pl
import pytest

from agents.data.executor import DataExecutor
from agents.spec import AgentSpec, AgentType
from flows.compiler.compile import compile_plan
from flows.compiler.previews import preview_plan
from flows.compiler.shape import parse_definition
from flows.plan import Plan, PlanWorkflow
from flows.runtime.ports import RunOutcome
from flows.states import ExecutionStatus
from platform_api.kit.result_store import LocalResultStore
from tests.fakes.runtime import Drive, a_run

WORKFLOW = PlanWorkflow(id="w", name="w", slug="w", version=1, tenant_id="t", tenant_slug="t", tags=("nightly",))


def plan_of(configs: dict[str, dict[str, Any]]) -> Plan:
    """A chain: each step reads the one before it."""
    keys = list(configs)
    steps = [
        {"stepKey": key, "type": "AGENT", "agentId": key}
        | ({"inputs": {before: f"{{{{ {before}.output }}}}"}, "dependsOn": [before]} if before else {})
        for before, key in zip([None, *keys], keys, strict=False)
    ]
    agents = {
        key: AgentSpec(id=str(uuid4()), version=1, name=key, type=AgentType.DATA, config=configs[key]) for key in keys
    }
    return compile_plan(parse_definition({"steps": steps}), WORKFLOW, agents)


def drive_of(plan: Plan, folder: Path) -> Drive:
    drive = Drive(run=replace(a_run(*plan.steps), plan=plan))
    ports = {"results": LocalResultStore(folder / "results"), "data_roots": (folder / "data",)}
    drive.ports = replace(drive.ports, executors={AgentType.DATA: DataExecutor()}, **ports)
    return drive


async def shown(first: Drive, key: str) -> RunOutcome:
    """The run of the preview of a step of `first`, which is over; it has taken the step's record over."""
    step = next(each for each in first.run.plan.steps if each.step_key == key)
    run = replace(first.run, execution_id=uuid4(), plan=preview_plan(first.run.plan, step, seconds=60))
    drive = Drive(run=run)
    drive.ports = replace(first.ports, journal=drive.journal)
    drive.journal.rows |= {place: row for place, row in first.journal.rows.items() if row.attempt.path == key}
    outcome = await drive.once()
    assert [path for _, path, _ in drive.journal.steps].count(key) == 0
    return outcome


@pytest.fixture
def numbers(tmp_path: Path) -> Path:
    file = tmp_path / "data" / "numbers.parquet"
    file.parent.mkdir()
    pl.DataFrame({"n": range(5_000)}).write_parquet(file)
    return file


CHAIN: dict[str, dict[str, Any]] = {
    "load": {"source": {"path": "numbers.parquet"}, "operations": [{"op": "filter", "where": "n >= 10"}]},
    "preview": {"operations": [{"op": "map", "columns": {"twice": "n * 2"}}]},
    "total": {"operations": [{"op": "reduce", "aggregations": {"s": "SUM(twice)"}}]},
}


async def test_the_first_rows_of_an_inner_step_are_computed(tmp_path: Path, numbers: Path) -> None:
    drive = drive_of(plan_of(CHAIN), tmp_path)
    assert (await drive.once()).status is ExecutionStatus.COMPLETED
    load, twice = await shown(drive, "load"), await shown(drive, "preview")
    assert load.outputs == {"schema": {"n": "Int64"}, "preview": [{"n": n} for n in range(10, 30)]}
    assert twice.outputs["preview"] == [{"n": n, "twice": 2 * n} for n in range(10, 30)]


async def test_records_that_are_too_large_for_their_row_are_followed(tmp_path: Path) -> None:
    rows = {"source": {"rows": [{"n": n, "text": "x" * 1_000} for n in range(100)]}, "operations": []}
    drive = drive_of(plan_of({**CHAIN, "load": rows}), tmp_path)
    await drive.once()
    assert drive.journal.outcomes["load", 1].output_ref is not None
    assert len((await shown(drive, "load")).outputs["preview"]) == 20
    for stored in (tmp_path / "results").rglob("*.json"):
        stored.unlink()
    gone = await shown(drive, "load")
    assert gone.status is ExecutionStatus.FAILED
    assert "is gone" in str(gone.error)


def touch(file: Path) -> None:
    os.utime(file, ns=(0, 1))


def damage(file: Path) -> None:
    """Makes its second half unreadable, and nobody sees that from outside."""
    seen = file.stat()
    with file.open("r+b") as opened:
        opened.seek(seen.st_size // 2)
        opened.write(b"\xff" * 1_000_000)
    os.utime(file, ns=(seen.st_atime_ns, seen.st_mtime_ns))


CHANGES = {"written": touch, "grown": lambda file: pl.DataFrame({"n": [1]}).write_parquet(file), "gone": Path.unlink}


@pytest.mark.parametrize("change", CHANGES)
async def test_files_that_are_others_by_now_are_not_shown_for_those_of_the_run(
    tmp_path: Path, numbers: Path, change: str
) -> None:
    drive = drive_of(plan_of(CHAIN), tmp_path)
    await drive.once()
    CHANGES[change](numbers)
    outcome = await shown(drive, "preview")
    assert outcome.status is ExecutionStatus.FAILED
    assert outcome.error is not None
    assert outcome.error["code"] == ("PATH_NOT_FOUND" if change == "gone" else "SOURCE_CHANGED")
    assert str(tmp_path) not in str(outcome.error)


async def test_no_more_is_read_than_a_preview_needs(tmp_path: Path, numbers: Path) -> None:
    """The second half of the file cannot be read, and need not be."""
    wide = pl.DataFrame({"n": range(3_000_000)})
    wide.write_parquet(numbers, row_group_size=100_000, compression="uncompressed")
    drive = drive_of(plan_of(CHAIN), tmp_path)
    await drive.once()
    damage(numbers)
    with pytest.raises(pl.exceptions.ComputeError):
        pl.read_parquet(numbers)
    assert (await shown(drive, "preview")).status is ExecutionStatus.COMPLETED


def test_the_run_is_bounded_and_is_no_run_of_the_workflow() -> None:
    plan = plan_of(CHAIN)
    shown_plan = preview_plan(plan, plan.steps[0], seconds=30)
    assert (shown_plan.workflow.id, shown_plan.workflow.tags) == ("", ())
    assert [step.timeout_seconds for step in shown_plan.steps] == [None, 30]
    assert shown_plan.workflow.tenant_id == "t"
