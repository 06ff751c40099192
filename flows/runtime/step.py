"""AGENT: one attempt of a step: resolve its inputs, run its executor under its limits, record how it ended."""

import asyncio
from typing import Any

from agents.errors import AgentError, InputInvalid
from agents.providers.budget import CountedBudget
from agents.spec import AgentType
from flows.compiler.expressions import render
from flows.compiler.schemas import check_inputs
from flows.errors import DefinitionInvalid, ExpressionFailed
from flows.runtime.agent_call import (
    AgentCall,
    Shown,
    check_output,
    checked_inputs,
    resolved_secrets,
    sentence,
)
from flows.runtime.live_calls import LiveCalls
from flows.runtime.live_text import LiveText
from flows.runtime.nested import run_nested
from flows.runtime.record import Produced, recorded, unrendered
from flows.runtime.retries import is_last
from flows.runtime.surroundings import StepAt
from flows.runtime.within import within_time_of

WORKER_LOST = "WORKER_LOST"
"""Reason of a cancellation, and code of what it leaves: the worker is gone, nobody asked the run to stop."""


class AgentKind:
    """Runs the attempts of AGENT steps."""

    async def run(self, at: StepAt) -> Any:
        """Makes one attempt and records it, whatever comes of it."""
        return await _Attempt(at).run()


class _Attempt:
    """One attempt."""

    def __init__(self, at: StepAt) -> None:
        self._at = at
        self._step = at.step
        self._around = at.around
        self._spec = at.around.agent(at.step)

    async def run(self) -> Any:
        inputs, error = await self._resolve_inputs()

        async def work() -> Produced:
            if error:
                raise error
            return await self._execute(inputs)

        return await recorded(self._at, inputs=inputs, work=work, is_last=self._is_last)

    def _is_last(self, code: str) -> bool:
        return is_last(self._step.retry, self._at.attempt.attempt, code)

    async def _resolve_inputs(self) -> tuple[dict[str, Any], AgentError | None]:
        try:
            secrets = await resolved_secrets(self._at, self._step.inputs, self._around.run.plan.workflow.project_id)
            rendered = render(self._step.inputs, await self._at.scope(self._step.inputs, secrets=secrets))
        except ExpressionFailed as failed:
            return self._step.inputs, unrendered(failed, "inputs")
        except AgentError as failed:
            return self._step.inputs, failed
        try:
            return await checked_inputs(self._spec, rendered), None
        except AgentError as failed:
            return rendered, failed

    async def _execute(self, inputs: dict[str, Any]) -> Produced:
        if self._spec.type is AgentType.WORKFLOW:
            async with within_time_of(self._at):
                produced = await run_nested(self._at, await self._handed_over(inputs))
        else:
            produced = await self._called(inputs)
        await check_output(self._spec, produced.output)
        return produced

    async def _handed_over(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """The inputs of the nested run: those of the config where it has any, else the agent's own."""
        written = (await AgentCall(self._at, self._spec).rendered(inputs)).config.get("inputs")
        schema = self._around.run.plan.children[self._spec.id].input_schema
        try:
            return await asyncio.to_thread(check_inputs, schema, inputs if written is None else written)
        except DefinitionInvalid as invalid:
            lead = "The inputs do not fit the nested workflow's inputSchema"
            raise InputInvalid(sentence(lead, invalid.problems)) from invalid

    async def _called(self, inputs: dict[str, Any]) -> Produced:
        budget = CountedBudget(self._around.budget, self._at.usage.add)
        call = AgentCall(self._at, self._spec)
        async with LiveCalls(self._at) as calls, LiveText(self._at) as text:
            shown = Shown(calls=calls, tell_text=text.tell)
            result = await call.run(inputs, budget=budget, seconds=self._step.timeout_seconds, shown=shown)
        budget.tell(result.usage)
        return Produced(output=result.output, artifacts=result.artifacts, preview=result.preview)
