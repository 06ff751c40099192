"""PARALLEL: named branches at once, until all have ended or until one has ended well."""

from typing import Any

from flows.errors import StepFailed
from flows.plan import PlanParallel
from flows.runtime.body import Body
from flows.runtime.crew import Crew
from flows.runtime.record import Produced, recorded
from flows.runtime.surroundings import StepAt
from flows.runtime.within import within_time_of


class ParallelKind:
    """Its output is `{branch: output of its last step}`; with `wait: any` the winner's alone."""

    async def run(self, at: StepAt) -> Any:
        """Runs the branches inside the step's record."""
        parallel = at.step.parallel
        assert parallel is not None

        async def work() -> Produced:
            async with within_time_of(at):
                return Produced(output=await _Branches(at, parallel).run())

        return await recorded(at, inputs={"branches": list(parallel.branches)}, work=work)


class _Branches:
    """One run of the branches of a step."""

    def __init__(self, at: StepAt, parallel: PlanParallel) -> None:
        self._at = at
        self._parallel = parallel
        self._outputs: dict[str, Any] = {}
        self._failures: dict[str, StepFailed] = {}
        self._winner: str | None = None
        size = min(parallel.max_concurrency or len(parallel.branches), len(parallel.branches))
        self._crew = Crew(at.around.activity, self._branch, size)

    async def run(self) -> dict[str, Any]:
        names = list(self._parallel.branches)
        await self._crew.run(names)
        if self._winner is not None:
            return {self._winner: self._outputs[self._winner]}
        if self._parallel.wait == "any" and names:
            raise self._all_failed(names)
        return {name: self._outputs.get(name) for name in names}

    async def _branch(self, name: str) -> None:
        at = self._at
        frame = at.frame.inner(f"{at.step.step_key}.{name}.")
        body = Body(at.around.shape(self._parallel.branches[name]), frame, at.around)
        try:
            await body.run()
            self._outputs[name] = await body.last_output()
        except StepFailed as failed:
            self._failures[name] = failed
            if self._parallel.wait == "all" and not at.step.continue_on_failure:
                raise
            return
        if self._parallel.wait == "any" and self._winner is None:
            self._winner = name
            self._crew.stop(f"Branch {name} ended well first")

    def _all_failed(self, names: list[str]) -> StepFailed:
        first = self._failures[names[0]]
        error = {**first.error, "details": {"branches": {name: each.error for name, each in self._failures.items()}}}
        return StepFailed(first.step_key, error)
