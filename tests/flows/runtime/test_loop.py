"""Loops over items and loops with a condition: order, bounds, failures, what iterations see."""

import asyncio
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from agents.result import DatasetRef
from flows.plan import PlanStep
from flows.runtime.items import DatasetItems
from flows.states import ExecutionStatus, StepStatus
from tests.fakes.runtime import Drive, MemoryResults, ScriptedExecutor, a_loop, a_step, some_ports

ECHO = a_step("echo", inputs={"item": "{{ item }}", "index": "{{ index }}"})


def each(*steps: PlanStep, items: Any = "{{ inputs.items }}", collect: Any = None, **changes: Any) -> PlanStep:
    settings = {
        name: changes.pop(name) for name in ("max_concurrency", "batch_size", "max_iterations") if name in changes
    }
    return a_loop("each", steps=steps, loop={"items": items, "collect": collect, **settings}, **changes)


async def output_of(drive: Drive) -> Any:
    outcome = await drive.once()
    assert outcome.status is ExecutionStatus.COMPLETED, outcome
    return outcome.outputs["each"]


async def test_results_come_in_the_order_of_the_items() -> None:
    step = a_step("echo", inputs={"item": "{{ item }}", "sleep": "{{ 0.03 - item / 100 }}"})
    output = await output_of(Drive(each(step), inputs={"items": [0, 1, 2]}))
    assert [result["item"] for result in output["items"]] == [0, 1, 2]
    assert (output["count"], output["failed"]) == (3, 0)


async def test_paths_name_the_item() -> None:
    drive = Drive(each(ECHO), inputs={"items": ["a", "b"]})
    await drive.once()
    assert drive.executor.keys == ["each[0].echo", "each[1].echo"]
    assert drive.journal.inputs["each[1].echo", 1] == {"item": "b", "index": 1}


async def test_a_list_may_be_written_with_templates() -> None:
    output = await output_of(Drive(each(ECHO, items=["{{ inputs.a }}", "b"]), inputs={"a": "A"}))
    assert [result["item"] for result in output["items"]] == ["A", "b"]


async def test_batches() -> None:
    output = await output_of(Drive(each(ECHO, batch_size=2), inputs={"items": [1, 2, 3]}))
    assert [(result["item"], result["index"]) for result in output["items"]] == [([1, 2], 0), ([3], 1)]
    assert output["count"] == 2


async def test_collect_says_what_is_kept_of_an_iteration() -> None:
    output = await output_of(Drive(each(ECHO, collect="{{ echo.output.item }}!"), inputs={"items": [1, 2]}))
    assert output["items"] == ["1!", "2!"]


async def test_no_items_no_bodies() -> None:
    assert await output_of(Drive(each(ECHO), inputs={"items": []})) == {"items": [], "count": 0, "failed": 0}


async def test_too_many_items_fail_before_anything_runs() -> None:
    drive = Drive(each(ECHO, max_iterations=2), inputs={"items": [1, 2, 3]})
    outcome = await drive.once()
    assert outcome.error is not None
    assert outcome.error["code"] == "TOO_MANY_ITERATIONS"
    assert drive.executor.calls == []
    assert await output_of(Drive(each(ECHO, max_iterations=2, batch_size=2), inputs={"items": [1, 2, 3]}))


@pytest.mark.parametrize("value", [7, "text", {"a": 1}, None])
async def test_what_is_no_list_is_refused(value: Any) -> None:
    outcome = await Drive(each(ECHO), inputs={"items": value}).once()
    assert outcome.error is not None
    assert outcome.error["code"] == "BAD_ITEMS"


class TestFailures:
    """Of one item among several."""

    ITEMS = ({"n": 0}, {"n": 1, "fail": "BOOM"}, {"n": 2})

    def loop(self, **changes: Any) -> PlanStep:
        return each(a_step("work", inputs={"n": "{{ item.n }}", "code": "{{ item.fail | default(none) }}"}), **changes)

    def executor(self) -> ScriptedExecutor:
        def script(_spec: Any, inputs: dict[str, Any], _context: Any) -> Any:
            if inputs["code"]:
                raise ValueError
            return inputs["n"]

        return ScriptedExecutor(script)

    async def test_by_default_it_fails_the_loop_and_the_run_with_the_whole_path(self) -> None:
        drive = Drive(self.loop(max_concurrency=1), executor=self.executor(), inputs={"items": list(self.ITEMS)})
        outcome = await drive.once()
        assert outcome.error is not None
        assert (outcome.error["code"], outcome.error["stepKey"]) == ("INTERNAL_ERROR", "each[1].work")
        recorded = drive.journal.outcomes["each", 1]
        assert recorded.status is StepStatus.FAILED
        assert recorded.error is not None
        assert recorded.error["stepKey"] == "each[1].work"
        assert "each[2].work" not in drive.statuses

    async def test_the_others_are_cancelled_and_what_had_not_begun_is_skipped(self) -> None:
        body = (
            a_step("first", inputs={"sleep": "{{ 30 if index == 0 else 0 }}"}),
            a_step("second", "first", inputs={"fail": "BOOM"}),
        )
        drive = Drive(each(*body), inputs={"items": [0, 1]})
        outcome = await drive.once()
        assert outcome.error is not None
        assert outcome.error["stepKey"] == "each[1].second"
        assert drive.statuses["each[0].first"] is StepStatus.CANCELLED
        assert drive.statuses["each[0].second"] is StepStatus.SKIPPED

    async def test_under_continue_it_is_counted_and_the_rest_goes_on(self) -> None:
        loop = self.loop(continue_on_failure=True, on_error="CONTINUE")
        drive = Drive(loop, executor=self.executor(), inputs={"items": list(self.ITEMS)})
        assert await output_of(drive) == {"items": [0, None, 2], "count": 3, "failed": 1}
        assert drive.statuses["each"] is StepStatus.COMPLETED


class TestConcurrency:
    """How many work at once."""

    @pytest.mark.parametrize(("of_loop", "of_run", "expected"), [(3, None, 3), (8, 2, 2), (1, None, 1)])
    async def test_it_is_bounded_by_loop_and_run(self, of_loop: int, of_run: int | None, expected: int) -> None:
        limits = {"maxConcurrency": of_run} if of_run else {}
        step = a_step("work", inputs={"sleep": 0.01})
        drive = Drive(each(step, max_concurrency=of_loop), inputs={"items": list(range(8))}, limits=limits)
        await output_of(drive)
        assert drive.executor.most_at_once == expected

    async def test_one_slot_is_enough_at_any_depth(self) -> None:
        inner = a_loop("inner", steps=(ECHO,), loop={"items": [1, 2]})
        drive = Drive(each(inner), inputs={"items": [1, 2, 3]}, limits={"maxConcurrency": 1})
        async with asyncio.timeout(5):
            output = await output_of(drive)
        assert [result["count"] for result in output["items"]] == [2, 2, 2]
        assert drive.executor.most_at_once == 1

    async def test_no_more_tasks_than_may_work_at_once(self) -> None:
        tasks: list[int] = []

        def script(*_: Any) -> Any:
            tasks.append(len(asyncio.all_tasks()))

        loop = each(ECHO, max_concurrency=8)
        drive = Drive(loop, executor=ScriptedExecutor(script), inputs={"items": list(range(1_000))})
        await output_of(drive)
        assert max(tasks) < 60

    async def test_one_after_another_sees_the_one_before(self) -> None:
        step = a_step("sum", inputs={"n": "{{ item + (previous.output.n | default(0)) }}"})
        output = await output_of(Drive(each(step, max_concurrency=1), inputs={"items": [1, 2, 3]}))
        assert [result["n"] for result in output["items"]] == [1, 3, 6]


class TestWhile:
    """Loops with a condition."""

    STEP = a_step("step", inputs={"n": "{{ (previous.output.n | default(0)) + 1 }}"})

    async def test_it_goes_on_as_long_as_the_condition_holds(self) -> None:
        condition = "(previous.output.n | default(0)) < 3"
        drive = Drive(a_loop("each", steps=(self.STEP,), loop={"condition": condition}))
        assert await output_of(drive) == {"items": [{"n": 1}, {"n": 2}, {"n": 3}], "count": 3, "failed": 0}

    async def test_a_condition_that_always_holds_ends_at_its_bound(self) -> None:
        loop = a_loop("each", steps=(self.STEP,), loop={"condition": "true", "max_iterations": 4})
        drive = Drive(loop)
        outcome = await drive.once()
        assert outcome.error is not None
        assert outcome.error["code"] == "TOO_MANY_ITERATIONS"
        assert len(drive.executor.calls) == 4


class TestDatasets:
    """Rows of a table as items."""

    async def test_rows_are_read_a_window_at_a_time(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("flows.runtime.items.WINDOW_ROWS", 10)
        path = tmp_path / "t.parquet"
        pl.DataFrame({"n": range(35)}).write_parquet(path)
        items = DatasetItems(path, 35)
        rows = [row for index in range(35) for row in await items.between(index, index + 1)]
        assert [row["n"] for row in rows] == list(range(35))
        assert await items.between(3, 20) == [{"n": number} for number in range(3, 20)]
        assert await items.between(30, 40) == [{"n": number} for number in range(30, 35)]

    async def test_the_output_of_a_data_step_is_looped_over(self, tmp_path: Path) -> None:
        path = tmp_path / "t.parquet"
        pl.DataFrame({"n": [5, 6]}).write_parquet(path)

        class Results(MemoryResults):
            def locate(self, uri: str) -> Path:
                assert uri == "store://t"
                return path

        reference = DatasetRef(uri="store://t", rows=2, bytes=1).model_dump(mode="json", by_alias=True)
        drive = Drive(each(ECHO), inputs={"items": {"dataset": reference, "rows": 2}})
        drive.ports = some_ports(drive.executor, journal=drive.journal, results=Results())
        output = await output_of(drive)
        assert [result["item"] for result in output["items"]] == [{"n": 5}, {"n": 6}]
