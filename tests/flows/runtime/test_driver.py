"""A run from its start to its end: failures, time, cancellation, waiting, loss, and being taken up again."""

import asyncio
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import orjson

from flows.plan import PlanStep
from flows.runtime.ports import Answer, FinishedStep, Past
from flows.runtime.record import INLINE_BYTES
from flows.runtime.step import WORKER_LOST
from flows.states import ExecutionStatus, StepStatus
from tests.fakes.runtime import Drive, ScriptedExecutor, a_condition, a_loop, a_parallel, a_step, a_wait

APPROVAL = {"kind": "approval"}
RETRY = {"on_error": "RETRY", "retry": {"max_attempts": 3, "delay_seconds": 0.01}}


def approved() -> Answer:
    return Answer(data={"approved": True, "comment": None}, by="me", via="REST", at=datetime.now(UTC))


async def begun(drive: Drive) -> "asyncio.Task[Any]":
    running = asyncio.create_task(drive.once())
    await drive.executor.called.wait()
    return running


class TestEnds:
    """How a run ends, and what is on record then."""

    async def test_steps_see_those_before_them(self) -> None:
        drive = Drive(a_step("a", inputs={"n": 1}), a_step("b", "a", inputs={"m": "{{ a.output.n }}"}))
        outcome = await drive.once()
        assert (outcome.status, outcome.outputs) == (ExecutionStatus.COMPLETED, {"b": {"m": 1}})
        assert drive.journal.steps == [("start", "a", 1), ("end", "a", 1), ("start", "b", 1), ("end", "b", 1)]

    async def test_outputs_are_as_written(self) -> None:
        drive = Drive(a_step("a", inputs={"n": 1}), output={"total": "{{ a.output.n }}"})
        assert (await drive.once()).outputs == {"total": 1}
        broken = await Drive(a_step("a"), output="{{ a.output.nothing }}").once()
        assert broken.error is not None
        assert (broken.status, broken.error["code"]) == (ExecutionStatus.FAILED, "UNRESOLVED_REFERENCE")

    async def test_large_outputs_are_stored(self) -> None:
        drive = Drive(a_step("a", inputs={"text": "x" * INLINE_BYTES}))
        outcome = await drive.once()
        stored = await drive.ports.results.read_json(outcome.outputs["outputRef"])
        assert len(orjson.loads(stored)["a"]["text"]) == INLINE_BYTES

    async def test_a_failure_cancels_what_runs_and_skips_what_had_not_begun(self) -> None:
        drive = Drive(
            a_step("slow", inputs={"sleep": 30}),
            a_step("fails", inputs={"fail": "BOOM"}),
            a_step("later", "slow"),
            limits={"maxConcurrency": 2},
        )
        outcome = await drive.once()
        assert outcome.error == {"code": "BOOM", "message": "as told", "stepKey": "fails"}
        assert drive.statuses == {
            "slow": StepStatus.CANCELLED,
            "fails": StepStatus.FAILED,
            "later": StepStatus.SKIPPED,
        }
        assert drive.journal.skipped == {"later": "Step fails failed"}
        assert drive.journal.lines[-1].message == "as told"

    async def test_a_step_that_waits_for_a_slot_is_skipped_not_cancelled(self) -> None:
        drive = Drive(a_step("fails", inputs={"fail": "B"}), a_step("queued"), limits={"maxConcurrency": 1})
        await drive.once()
        assert drive.statuses["queued"] is StepStatus.SKIPPED

    async def test_past_its_time(self) -> None:
        drive = Drive(a_step("slow", inputs={"sleep": 30}), limits={"timeoutSeconds": 0.05})
        outcome = await drive.once()
        assert (outcome.status, outcome.error) == (
            ExecutionStatus.TIMEOUT,
            {"code": "TIMEOUT", "message": "The run was stopped after its 0.05 s"},
        )
        assert drive.statuses["slow"] is StepStatus.CANCELLED

    async def test_time_in_which_it_ran_before_counts(self) -> None:
        drive = Drive(a_step("slow", inputs={"sleep": 30}), limits={"timeoutSeconds": 100})
        drive.run = replace(drive.run, active_seconds=99.95)
        async with asyncio.timeout(5):
            assert (await drive.once()).status is ExecutionStatus.TIMEOUT

    async def test_cancelled_everywhere(self) -> None:
        inner = a_loop(
            "inner", steps=(a_step("slow", inputs={"sleep": 30}), a_step("after", "slow")), loop={"items": [1]}
        )
        drive = Drive(a_parallel("both", branches={"left": (inner,), "right": (a_wait("ask", wait=APPROVAL),)}))
        running = await begun(drive)
        running.cancel("Somebody asked")
        outcome = await running
        assert outcome.error == {"code": "CANCELLED", "message": "Somebody asked"}
        assert not running.cancelled()
        assert {path: status for path, status in drive.statuses.items() if status is not StepStatus.CANCELLED} == {
            "both.left.inner[0].after": StepStatus.SKIPPED
        }
        assert drive.executor.stopped == ["a"]


class TestRetries:
    """Steps at any depth follow their policy."""

    def flaky(self, fails: int) -> ScriptedExecutor:
        def script(_spec: Any, inputs: dict[str, Any], _context: Any) -> Any:
            if len(executor.calls) <= fails:
                raise ConnectionError
            return inputs

        executor = ScriptedExecutor(script)
        return executor

    async def test_until_it_works(self) -> None:
        step = a_step("flaky", **RETRY)
        for path, steps in (
            ("flaky", (step,)),
            ("each[0].flaky", (a_loop("each", steps=(step,), loop={"items": [1]}),)),
        ):
            drive = Drive(*steps, executor=self.flaky(2))
            assert (await drive.once()).status is ExecutionStatus.COMPLETED
            ends = [(drive.journal.outcomes[path, n].status, drive.journal.outcomes[path, n].last) for n in (1, 2, 3)]
            assert ends == [(StepStatus.FAILED, False), (StepStatus.FAILED, False), (StepStatus.COMPLETED, True)]

    async def test_attempts_count_on_after_a_lost_worker(self) -> None:
        drive = Drive(a_step("flaky", **RETRY), executor=self.flaky(5))
        drive.journal.past = lambda: Past(attempts={"flaky": 2})  # type: ignore[method-assign]
        assert (await drive.once()).status is ExecutionStatus.FAILED
        assert [number for kind, _, number in drive.journal.steps if kind == "start"] == [3]

    async def test_no_slot_is_held_between_attempts(self) -> None:
        slow_retry = {"on_error": "RETRY", "retry": {"max_attempts": 2, "delay_seconds": 60}}
        drive = Drive(a_step("flaky", **slow_retry), a_step("b"), executor=self.flaky(1), limits={"maxConcurrency": 1})
        running = await begun(drive)
        await drive.executor.begins["b"].wait()
        await asyncio.sleep(0.01)
        running.cancel()
        await running
        assert drive.statuses == {"flaky": StepStatus.FAILED, "b": StepStatus.COMPLETED}


class TestWaiting:
    """A run in which only waits are left gives up its process, and comes back."""

    def steps(self) -> tuple[PlanStep, ...]:
        return (
            a_step("before", inputs={"n": 1}),
            a_wait("ask", "before", wait=APPROVAL),
            a_step("after", "ask", inputs={"ok": "{{ ask.output.approved }}", "n": "{{ before.output.n }}"}),
        )

    async def test_it_is_left_and_taken_up(self) -> None:
        drive = Drive(*self.steps())
        async with asyncio.timeout(5):
            assert (await drive.once()).status is ExecutionStatus.PAUSED
        assert drive.journal.status is ExecutionStatus.PAUSED
        assert drive.statuses == {"before": StepStatus.COMPLETED, "ask": StepStatus.PAUSED}
        drive.journal.given["ask"] = approved()
        assert (await drive.once()).outputs == {"after": {"ok": True, "n": 1}}
        assert drive.executor.keys == ["before", "after"]
        assert [event for event in drive.journal.steps if event[1] == "ask"] == [("start", "ask", 1), ("end", "ask", 1)]

    async def test_without_an_answer_it_is_left_again(self) -> None:
        drive = Drive(*self.steps())
        for times in (1, 2, 3):
            assert (await drive.once()).status is ExecutionStatus.PAUSED
            assert drive.journal.suspended == times

    async def test_it_stays_while_anything_works(self) -> None:
        drive = Drive(a_wait("ask", wait=APPROVAL), a_step("slow", inputs={"sleep": 0.3}))
        outcome = await drive.once()
        assert outcome.status is ExecutionStatus.PAUSED
        assert drive.statuses["slow"] is StepStatus.COMPLETED

    async def test_inside_containers(self) -> None:
        body = (a_step("a", inputs={"item": "{{ item }}"}), a_wait("ask", "a", wait=APPROVAL), a_step("b", "ask"))
        drive = Drive(a_loop("each", steps=body, loop={"items": [1, 2, 3], "max_concurrency": 2}))
        assert (await drive.once()).status is ExecutionStatus.PAUSED
        drive.journal.given["each[1].ask"] = approved()
        assert (await drive.once()).status is ExecutionStatus.PAUSED
        assert drive.statuses["each[1].b"] is StepStatus.COMPLETED
        assert drive.statuses["each[2].ask"] is StepStatus.PAUSED
        drive.journal.given |= {"each[0].ask": approved(), "each[2].ask": approved()}
        outcome = await drive.once()
        assert outcome.outputs["each"] == {"items": [{}, {}, {}], "count": 3, "failed": 0}
        assert sorted(drive.executor.keys) == sorted(set(drive.executor.keys))
        assert [event for event in drive.journal.steps if event[1] == "each"][-1] == ("end", "each", 1)

    async def test_a_failed_item_stays_failed(self) -> None:
        body = (
            a_step("first", inputs={"sleep": 0.01}),
            a_step("odd", "first", inputs={"fail": "BOOM"}),
        )
        parallel = a_parallel(
            "both", branches={"bad": body, "ask": (a_wait("ask", wait=APPROVAL),)}, continue_on_failure=True
        )
        drive = Drive(parallel)
        assert (await drive.once()).status is ExecutionStatus.PAUSED
        drive.journal.given["both.ask.ask"] = approved()
        assert (await drive.once()).outputs["both"]["bad"] is None
        assert drive.executor.keys == ["both.bad.first", "both.bad.odd"]


class TestLoss:
    """A worker that goes away leaves the run for others to find."""

    async def test_nothing_is_recorded_of_what_it_stops(self) -> None:
        drive = Drive(a_step("done"), a_step("slow", "done", inputs={"sleep": 30}), a_step("after", "slow"))
        running = asyncio.create_task(drive.once())
        await drive.executor.begins["slow"].wait()
        running.cancel(WORKER_LOST)
        with suppress(asyncio.CancelledError):
            await running
        assert running.cancelled()
        assert drive.statuses == {"done": StepStatus.COMPLETED, "slow": StepStatus.RUNNING}
        assert drive.journal.finished == []
        assert drive.executor.stopped == ["a"]


class TestReuse:
    """What has run is not run again."""

    async def test_outputs_of_before_are_used_inline_and_stored(self) -> None:
        steps = (a_step("a"), a_step("b"), a_step("c", "a", "b", inputs={"n": "{{ a.output.n + b.output.n }}"}))
        drive = Drive(*steps)
        uri = await drive.ports.results.keep_json(orjson.dumps({"n": 2}))
        finished = {
            "a": FinishedStep(status=StepStatus.COMPLETED, output={"n": 1}),
            "b": FinishedStep(status=StepStatus.COMPLETED, output_ref=uri),
        }
        drive.journal.past = lambda: Past(finished=finished)  # type: ignore[method-assign]
        assert (await drive.once()).outputs == {"c": {"n": 3}}
        assert drive.executor.keys == ["c"]

    async def test_a_choice_that_lies_in_the_store_still_holds(self) -> None:
        drive = Drive(a_condition("if", when="1", then=("a",)), a_step("a", "if", gates=("if",)))
        uri = await drive.ports.results.keep_json(orjson.dumps({"result": True, "case": None, "chosen": ["a"]}))
        finished = {"if": FinishedStep(status=StepStatus.COMPLETED, output_ref=uri)}
        drive.journal.past = lambda: Past(finished=finished)  # type: ignore[method-assign]
        assert (await drive.once()).status is ExecutionStatus.COMPLETED
        assert drive.executor.keys == ["a"]

    async def test_a_failure_that_was_dealt_with_still_is(self) -> None:
        steps = (a_step("a", fallback="b"), a_step("b", "a", fallback_of=("a",)), a_step("c", "a"))
        drive = Drive(*steps)
        error = {"code": "BOOM", "message": "then"}
        finished = {"a": FinishedStep(status=StepStatus.FAILED, error=error)}
        drive.journal.past = lambda: Past(finished=finished, attempts={"a": 1})  # type: ignore[method-assign]
        assert (await drive.once()).status is ExecutionStatus.COMPLETED
        assert drive.executor.keys == ["b"]
        assert set(drive.journal.skipped) == {"c"}
