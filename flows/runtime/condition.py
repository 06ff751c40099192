"""CONDITION: evaluates its cases in order and switches on the steps of the first that holds."""

from typing import Any

from flows.compiler.expressions import evaluate
from flows.runtime.record import Produced, recorded
from flows.runtime.surroundings import StepAt


class ConditionKind:
    """Its output is `{result, case, chosen}`. With `expression` the result is its truth, with `cases` there is none."""

    async def run(self, at: StepAt) -> Any:
        """One record; conditions have a single attempt."""
        expressions = [case.when for case in at.step.cases if case.when is not None]

        async def work() -> Produced:
            return Produced(output=await _decision(at))

        return await recorded(at, inputs={"expressions": expressions}, work=work)


async def _decision(at: StepAt) -> dict[str, Any]:
    has_cases = bool(at.step.config.get("cases"))
    for index, case in enumerate(at.step.cases):
        if case.when is not None and not await holds(at, case.when):
            continue
        decided = {"result": None, "case": None if case.when is None else index}
        if not has_cases:
            decided = {"result": case.when is not None, "case": None}
        return {**decided, "chosen": list(case.then)}
    return {"result": None if has_cases else False, "case": None, "chosen": []}


async def holds(at: StepAt, expression: str) -> bool:
    """Whether the value of an expression is true: not null, false, 0 or empty."""
    return bool(evaluate(expression, await at.expression_scope(expression)))
