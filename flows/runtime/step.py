"""AGENT: one attempt of a step: resolve its inputs, run its executor under its limits, record how it ended."""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any

from agents.context import AgentContext
from agents.errors import AgentError, InputInvalid, OutputInvalid, Problem
from agents.masking import Masking
from agents.result import AgentResult
from agents.spec import AgentSpec, AgentType
from flows.compiler.agent_rules import templated_config
from flows.compiler.expressions import render, uses
from flows.compiler.schemas import check_inputs, matches
from flows.errors import DefinitionInvalid, ExpressionFailed
from flows.runtime.nested import run_nested
from flows.runtime.record import Produced, recorded, unrendered
from flows.runtime.retries import is_last
from flows.runtime.surroundings import StepAt
from flows.runtime.within import within, within_time_of

WORKER_LOST = "WORKER_LOST"
"""Reason of a cancellation, and code of what it leaves: the worker is gone, nobody asked the run to stop."""

CPU_BOUND = frozenset({AgentType.CODE, AgentType.DATA})


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
        self._masking = at.around.log.masking

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
            secrets = await self._secrets(self._step.inputs, self._around.run.plan.workflow.project_id)
            rendered = render(self._step.inputs, await self._at.scope(self._step.inputs, secrets=secrets))
        except ExpressionFailed as failed:
            return self._step.inputs, unrendered(failed, "inputs")
        except AgentError as failed:
            return self._step.inputs, failed
        try:
            return await _checked(self._spec, rendered), None
        except DefinitionInvalid as invalid:
            lead = "The inputs do not fit the agent's inputSchema"
            return rendered, InputInvalid(_sentence(lead, invalid.problems))

    async def _execute(self, inputs: dict[str, Any]) -> Produced:
        if self._spec.type is AgentType.WORKFLOW:
            async with within_time_of(self._at):
                produced = await run_nested(self._at, await self._handed_over(inputs))
        else:
            produced = await self._call(inputs)
        await _check_output(self._spec, produced.output)
        return produced

    async def _handed_over(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """The inputs of the nested run: those of the config where it has any, else the agent's own."""
        written = (await self._rendered_spec(inputs)).config.get("inputs")
        schema = self._around.run.plan.children[self._spec.id].input_schema
        try:
            return await asyncio.to_thread(check_inputs, schema, inputs if written is None else written)
        except DefinitionInvalid as invalid:
            lead = "The inputs do not fit the nested workflow's inputSchema"
            raise InputInvalid(_sentence(lead, invalid.problems)) from invalid

    async def _call(self, inputs: dict[str, Any]) -> Produced:
        spec = await self._rendered_spec(inputs)
        executor = self._around.ports.executors.get(spec.type)
        if executor is None:
            raise AgentError(f"This worker cannot run {spec.type} agents", code="UNSUPPORTED_AGENT_TYPE")
        context = self._context()
        try:
            async with self._cpu_slot(spec.type), within(self._step.timeout_seconds):
                result = await executor.run(spec, inputs, context)
        except AgentError:
            raise
        except Exception as defect:
            message = f"The {spec.type} executor failed unexpectedly: {type(defect).__name__}"
            context.log("ERROR", message)
            raise AgentError(message, code="INTERNAL_ERROR") from defect
        self._at.usage.add(result.usage)
        return await _masked(result, self._masking)

    async def _secrets(self, document: Any, project_id: str | None) -> dict[str, str]:
        """The secrets that templates in `document` name and nothing beside; masked in this run from now on."""
        used = (use.path for use in uses(document, "") if use.path[0] == "secrets")
        names = {path[1] for path in used if len(path) > 1 and isinstance(path[1], str)}
        values = await self._around.ports.secrets.resolve(names, project_id) if names else {}
        for value in values.values():
            self._masking.add(value)
        return values

    async def _rendered_spec(self, inputs: dict[str, Any]) -> AgentSpec:
        spec = self._spec
        templated = templated_config(spec.type, spec.config)
        secrets = await self._secrets(templated, spec.project_id)
        scope = {"inputs": inputs, "secrets": secrets, **self._around.fixed_names}
        try:
            rendered = render(templated, scope)
        except ExpressionFailed as failed:
            raise unrendered(failed, "config") from failed
        return spec.model_copy(update={"config": {**spec.config, **rendered}})

    def _context(self) -> AgentContext:
        ports = self._around.ports
        limits = self._spec.limits.model_copy(update={"timeout_seconds": self._step.timeout_seconds})
        return AgentContext(
            limits=limits,
            log=self._around.log.for_step(self._at.attempt),
            datasets=ports.results,
            idempotency_key=f"{self._around.run.execution_id}:{self._at.path}",
            data_roots=ports.data_roots,
            egress=ports.egress,
        )

    def _cpu_slot(self, kind: AgentType) -> contextlib.AbstractAsyncContextManager[Any]:
        slots = self._around.ports.cpu_slots
        if slots is None or kind not in CPU_BOUND:
            return contextlib.nullcontext()
        return slots


async def _masked(result: AgentResult, masking: Masking) -> Produced:
    """The result as it is recorded and as later steps see it: a secret does not travel from step to step."""
    output, preview = result.output, result.preview
    if masking.is_needed:
        output, preview = await asyncio.to_thread(lambda: (masking.json(output), masking.json(preview)))
    return Produced(output=output, artifacts=result.artifacts, preview=preview)


async def _checked(spec: AgentSpec, inputs: dict[str, Any]) -> dict[str, Any]:
    if spec.input_schema is None:
        return inputs
    return await asyncio.to_thread(check_inputs, spec.input_schema, inputs)


async def _check_output(spec: AgentSpec, output: Any) -> None:
    if spec.output_schema is None:
        return
    problems = await asyncio.to_thread(matches, spec.output_schema, output)
    if problems:
        raise OutputInvalid(_sentence("The output does not fit the agent's outputSchema", problems))


def _sentence(lead: str, problems: Sequence[Problem]) -> str:
    return f"{lead}: " + "; ".join(f"{p.path}: {p.message}" if p.path else p.message for p in problems[:5])
