"""Fused DATA steps on the real executor: each has its record; the last one's is the table's."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from agents.data.executor import DataExecutor
from agents.spec import AgentSpec, AgentType
from flows.compiler.compile import compile_plan
from flows.compiler.shape import parse_definition
from flows.plan import Plan, PlanWorkflow
from flows.states import ExecutionStatus, StepStatus
from platform_api.kit.result_store import LocalResultStore
from tests.fakes.runtime import Drive, a_run

WORKFLOW = PlanWorkflow(id="w", name="w", slug="w", version=1, tenant_id="t", tenant_slug="t")
CONFIGS: dict[str, dict[str, Any]] = {
    "load": {"source": {"rows": [{"a": "1"}, {"a": "2"}]}, "operations": [{"op": "cast", "columns": {"a": "int64"}}]},
    "double": {"operations": [{"op": "map", "columns": {"b": "a * 2"}}]},
    "total": {"operations": [{"op": "reduce", "aggregations": {"s": "SUM(b)"}}]},
}


def plan_of(configs: dict[str, dict[str, Any]], **changes: Any) -> Plan:
    keys = list(configs)
    steps = [
        {"stepKey": key, "type": "AGENT", "agentId": key, **changes.get(key, {})}
        | ({"inputs": {before: f"{{{{ {before}.output }}}}"}, "dependsOn": [before]} if before else {})
        for before, key in zip([None, *keys], keys, strict=False)
    ]
    agents = {key: AgentSpec(id=key, version=1, name=key, type=AgentType.DATA, config=configs[key]) for key in keys}
    return compile_plan(parse_definition({"steps": steps}), WORKFLOW, agents)


def drive_of(plan: Plan, folder: Path) -> Drive:
    drive = Drive(run=replace(a_run(*plan.steps), plan=plan))
    drive.ports = replace(
        drive.ports, results=LocalResultStore(folder), executors={AgentType.DATA: DataExecutor()}, data_roots=(folder,)
    )
    return drive


def kept(folder: Path) -> list[str]:
    return [name for _, _, names in os.walk(folder) for name in names if name.endswith(".parquet")]


async def test_each_step_has_its_record_and_the_last_has_the_rows(tmp_path: Path) -> None:
    drive = drive_of(plan_of(CONFIGS), tmp_path)
    outcome = await drive.once()
    assert outcome.status is ExecutionStatus.COMPLETED
    assert drive.statuses == dict.fromkeys(CONFIGS, StepStatus.COMPLETED)
    assert outcome.outputs["total"]["data"] == [{"s": 6}]
    records = {key: ended.output for (key, _), ended in drive.journal.outcomes.items()}
    assert [(records[key].get("fusedInto"), records[key]["schema"]) for key in CONFIGS] == [
        ("double", {"a": "Int64"}),
        ("total", {"a": "Int64", "b": "Int64"}),
        (None, {"s": "Int64"}),
    ]
    assert len(kept(tmp_path)) == 1


async def test_a_step_that_asks_for_it_keeps_its_rows(tmp_path: Path) -> None:
    drive = drive_of(plan_of(CONFIGS, double={"materialize": True}), tmp_path)
    assert (await drive.once()).outputs["total"]["data"] == [{"s": 6}]
    assert len(kept(tmp_path)) == 2


async def test_a_failure_in_the_rows_says_where_it_was(tmp_path: Path) -> None:
    rows = {"source": {"rows": [{"a": "x"}]}}
    drive = drive_of(plan_of({**CONFIGS, "load": {**CONFIGS["load"], **rows}}), tmp_path)
    outcome = await drive.once()
    assert outcome.status is ExecutionStatus.FAILED
    assert outcome.error is not None
    assert "inputs.double.inputs.load.operations[0] (cast)" in outcome.error["message"]
