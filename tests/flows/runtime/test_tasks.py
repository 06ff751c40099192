"""A Prefect that goes away in the middle stops no run."""

from functools import partial
from typing import Any
from uuid import uuid4

import pytest

from flows.runtime import subflow, tasks
from flows.runtime.activity import Activity
from flows.runtime.artifacts import Artifacts
from flows.runtime.driver import RunDriver
from flows.runtime.log import RunLog
from flows.runtime.ports import LogLine, Run, RunOutcome
from flows.runtime.surroundings import NestedEnd
from flows.runtime.tasks import TaskStage
from flows.states import ExecutionStatus
from tests.fakes.runtime import Drive, ScriptedExecutor, a_run, a_step

pytestmark = pytest.mark.case(34)

RETRY = {"max_attempts": 3, "delay_seconds": 0, "backoff": 1, "max_delay_seconds": 0, "jitter": 0, "retry_on": ["X"]}


async def shown(drive: Drive) -> RunOutcome:
    async def write(lines: list[LogLine]) -> None:
        await drive.journal.logged(drive.run.execution_id, lines)

    async with RunLog(write, lambda *_: None) as log:
        driver = RunDriver(drive.run, drive.ports, log, stages=partial(TaskStage, Artifacts()))
        return await driver.drive(flow_run_id=uuid4(), run_count=1)


@pytest.mark.parametrize("attempts_before", [0, 1])
async def test_a_step_that_prefect_cannot_show_is_run_without_it(
    attempts_before: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(function: Any, *_: Any, **__: Any) -> None:
        for _ in range(attempts_before):
            await function()
        raise ConnectionError("Unable to acquire concurrency slots on ['tag:agent']: 500 Internal Server Error")

    monkeypatch.setattr(tasks, "run_task", broken)
    executor = ScriptedExecutor()
    drive = Drive(a_step("first"), a_step("second", "first"), executor=executor, max_concurrency=1)
    assert (await shown(drive)).status is ExecutionStatus.COMPLETED
    assert executor.keys == ["first", "second"]


async def test_the_attempts_that_are_left_are_made_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(function: Any, *_: Any, **__: Any) -> None:
        await function()
        raise ConnectionError("gone between two attempts")

    monkeypatch.setattr(tasks, "run_task", broken)
    drive = Drive(a_step("only", inputs={"fail": "X"}, retry=RETRY))
    assert (await shown(drive)).status is ExecutionStatus.FAILED
    assert [attempt for event, _, attempt in drive.journal.steps if event == "start"] == [1, 2, 3]


@pytest.mark.parametrize("where", ["_flow_run", "run_flow_async"])
async def test_a_nested_run_is_driven_without_it(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: Any, **__: Any) -> None:
        raise ConnectionError("no answer")

    async def found(*_: Any) -> None:
        return None

    driven: list[Any] = []

    async def drive(flow_run_id: Any) -> NestedEnd:
        driven.append(flow_run_id)
        return NestedEnd(outcome=RunOutcome(status=ExecutionStatus.COMPLETED), outputs=1)

    run: Run = a_run(a_step("inside"))
    monkeypatch.setattr(subflow, "_flow_run", found)
    monkeypatch.setattr(subflow, where, broken)
    end = await subflow.drive_as_subflow(run, uuid4(), drive, Activity())
    assert (end.outputs, driven) == (1, [None])
