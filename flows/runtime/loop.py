"""LOOP: a body for each item or batch, several at once, or one after another for as long as an expression holds."""

import asyncio
from typing import Any

from agents.errors import AgentError
from flows.compiler.expressions import evaluate, render
from flows.errors import ExpressionFailed, StepFailed
from flows.plan import PlanLoop
from flows.runtime.body import Body
from flows.runtime.crew import Crew
from flows.runtime.frames import Frame
from flows.runtime.items import Items, find_items
from flows.runtime.progress import LoopProgress
from flows.runtime.record import Produced, error_record, recorded, unrendered
from flows.runtime.surroundings import StepAt
from flows.runtime.within import within_time_of

TOO_MANY_ITERATIONS = "TOO_MANY_ITERATIONS"


class LoopKind:
    """Its output is `{items, count, failed}`: one item for each body, null where that failed."""

    async def run(self, at: StepAt) -> Any:
        """Runs all bodies inside the step's record."""
        loop = at.step.loop
        assert loop is not None
        inputs = {"while": loop.condition} if loop.condition is not None else {"items": loop.items}

        async def work() -> Produced:
            async with within_time_of(at):
                return Produced(output=await _output(at, loop))

        return await recorded(at, inputs=inputs, work=work)


async def _output(at: StepAt, loop: PlanLoop) -> dict[str, Any]:
    if loop.condition is not None:
        return await _While(at, loop).run(loop.condition)
    items = await find_items(at, loop.items)
    if items.total > loop.max_iterations * loop.batch_size:
        message = f"{items.total:,} items; the loop makes at most {loop.max_iterations:,} iterations"
        raise _too_many(message if loop.batch_size == 1 else f"{message} of {loop.batch_size:,} items")
    return await _Each(at, loop, items).run()


def _too_many(message: str) -> AgentError:
    return AgentError(message, code=TOO_MANY_ITERATIONS, hint="raise `maxIterations`, or give it less to do")


class _Loop:
    """What both forms share: one iteration, its result, and what becomes of its failure."""

    def __init__(self, at: StepAt, loop: PlanLoop, total: int | None) -> None:
        self._at = at
        self._loop = loop
        self._shape = at.around.shape(loop.steps)
        self._progress = LoopProgress(at, total, loop.max_iterations)
        self._failed = 0

    async def _iterate(self, index: int, names: dict[str, Any]) -> Any:
        """Runs the body once; None when it fails and the loop goes on nevertheless."""
        frame = self._at.frame.inner(f"{self._at.step.step_key}[{index}].", names)
        self._progress.began(index)
        failed = True
        try:
            result = await self._result(frame)
            failed = False
        except StepFailed:
            if not self._at.step.continue_on_failure:
                raise
            self._failed += 1
            return None
        finally:
            self._progress.ended(index, failed=failed)
        return result

    async def _result(self, frame: Frame) -> Any:
        body = Body(self._shape, frame, self._at.around)
        await body.run()
        if self._loop.collect is None:
            return await body.last_output()
        try:
            return render(self._loop.collect, await frame.scope(self._loop.collect, self._at.around.ports.results))
        except ExpressionFailed as failed:
            error = error_record(unrendered(failed, "config.collect"))
            raise StepFailed(self._at.path, {**error, "stepKey": self._at.path}) from failed


class _Each(_Loop):
    """A body for each item or batch."""

    def __init__(self, at: StepAt, loop: PlanLoop, items: Items) -> None:
        self._items = items
        self._count = -(-items.total // loop.batch_size)
        super().__init__(at, loop, self._count)
        self._results: list[Any] = [None] * self._count
        self._previous: dict[str, Any] | None = None

    async def run(self) -> dict[str, Any]:
        size = min(self._loop.max_concurrency, self._count)
        crew = Crew(self._at.around.activity, self._item, size)
        async with self._progress:
            await crew.run(range(self._count))
        return {"items": self._results, "count": self._count, "failed": self._failed}

    async def _item(self, index: int) -> None:
        size = self._loop.batch_size
        batch = await self._items.between(index * size, (index + 1) * size)
        names: dict[str, Any] = {"item": batch[0] if size == 1 else batch, "index": index}
        if self._loop.max_concurrency == 1:
            names["previous"] = self._previous
        self._results[index] = await self._iterate(index, names)
        self._previous = {"output": self._results[index]}


class _While(_Loop):
    """A body after another, as long as the condition holds."""

    def __init__(self, at: StepAt, loop: PlanLoop) -> None:
        super().__init__(at, loop, None)

    async def run(self, condition: str) -> dict[str, Any]:
        results: list[Any] = []
        async with self._progress:
            names: dict[str, Any] = {"index": 0, "previous": None}
            while evaluate(condition, await self._at.expression_scope(condition, **names)):
                if len(results) == self._loop.max_iterations:
                    raise _too_many(f"the condition still holds after {self._loop.max_iterations:,} iterations")
                results.append(await self._iterate(len(results), names))
                names = {"index": len(results), "previous": {"output": results[-1]}}
                await asyncio.sleep(0)
        return {"items": results, "count": len(results), "failed": self._failed}
