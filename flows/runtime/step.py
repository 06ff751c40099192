"""The life of one attempt of a step: resolve its inputs, run its executor under its limits, record how it ended."""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from agents.context import AgentContext
from agents.errors import AgentError, AgentTimeout, InputInvalid, OutputInvalid, Problem
from agents.masking import Masking
from agents.result import AgentResult
from agents.spec import AgentSpec, AgentType
from flows.compiler.agent_rules import templated_config
from flows.compiler.expressions import render, uses
from flows.compiler.schemas import check_inputs, matches
from flows.errors import DefinitionInvalid, ExpressionFailed, StepFailed
from flows.plan import PlanStep
from flows.runtime.log import RunLog
from flows.runtime.ports import Ports, Run, StepAttempt, StepOutcome
from flows.runtime.retries import is_last
from flows.runtime.storable import storable_json
from flows.states import StepStatus

INLINE_BYTES = 64 * 1024
"""Results up to this size lie in the record; larger ones in the result store."""

PREVIEW_CHARACTERS = 2_000

WORKER_LOST = "WORKER_LOST"
"""Reason of a cancellation, and code of what it leaves: the worker is gone, nobody asked the run to stop."""

CPU_BOUND = frozenset({AgentType.CODE, AgentType.DATA})


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What all steps of one run share. `outputs` grows as steps end."""

    run: Run
    ports: Ports
    log: RunLog
    outputs: dict[str, Any]

    def scope(self) -> dict[str, Any]:
        """What `{{ … }}` of a step or of the run's output can name."""
        steps = {key: {"output": output} for key, output in self.outputs.items()}
        return {"inputs": self.run.inputs, "steps": steps, **steps, **self.fixed_scope()}

    def fixed_scope(self) -> dict[str, Any]:
        """The names that hold inside an agent's config too."""
        workflow = self.run.plan.workflow
        return {
            "env": dict(self.ports.environment_variables),
            "execution": {
                "id": str(self.run.execution_id),
                "environment": self.run.environment,
                "triggerType": self.run.trigger_type,
            },
            "workflow": {
                "id": workflow.id,
                "name": workflow.name,
                "slug": workflow.slug,
                "version": workflow.version,
            },
        }


class StepRunner:
    """Runs the attempts of one AGENT step."""

    def __init__(self, step: PlanStep, surroundings: Surroundings) -> None:
        self._step = step
        self._in = surroundings
        self._spec = surroundings.run.plan.agents[step.agent or ""]
        self._masking = surroundings.log.masking

    async def attempt(self, number: int) -> Any:
        """Runs attempt `number` (from 1) and returns the output; raises `StepFailed`. Each attempt is recorded."""
        key = self._step.step_key
        attempt = StepAttempt(step_key=key, path=key, attempt=number, agent=self._spec.id)
        journal, execution_id = self._in.ports.journal, self._in.run.execution_id
        inputs, error = await self._resolve_inputs()
        await journal.step_started(execution_id, attempt, inputs=_for_record(self._masking.json(inputs)))
        try:
            if error:
                raise error
            result = await self._execute(attempt, inputs)
            outcome = await self._completed(result)
        except asyncio.CancelledError as cancelled:
            outcome = _stopped(str(cancelled))
            await self._record(attempt, outcome)
            raise
        except AgentError as failed:
            status = StepStatus.TIMEOUT if isinstance(failed, AgentTimeout) else StepStatus.FAILED
            error_shown = self._masking.json(error_record(failed))
            outcome = replace(_failed(status, error_shown), last=is_last(self._step.retry, number, failed.code))
        await self._record(attempt, outcome)
        if outcome.error:
            raise StepFailed(key, outcome.error)
        return result.output

    async def _record(self, attempt: StepAttempt, outcome: StepOutcome) -> None:
        await self._in.log.flush()
        await self._in.ports.journal.step_finished(self._in.run.execution_id, attempt, outcome)

    async def _resolve_inputs(self) -> tuple[dict[str, Any], AgentError | None]:
        try:
            secrets = await self._secrets(self._step.inputs, self._in.run.plan.workflow.project_id)
            rendered = render(self._step.inputs, {**self._in.scope(), "secrets": secrets})
        except ExpressionFailed as failed:
            return self._step.inputs, _unrendered(failed, "inputs")
        except AgentError as failed:
            return self._step.inputs, failed
        try:
            return await asyncio.to_thread(check_inputs, self._spec.input_schema, rendered), None
        except DefinitionInvalid as invalid:
            lead = "The inputs do not fit the agent's inputSchema"
            return rendered, InputInvalid(_sentence(lead, invalid.problems))

    async def _execute(self, attempt: StepAttempt, inputs: dict[str, Any]) -> AgentResult:
        spec = await self._rendered_spec(inputs)
        executor = self._in.ports.executors.get(spec.type)
        if executor is None:
            raise AgentError(f"This worker cannot run {spec.type} agents", code="UNSUPPORTED_AGENT_TYPE")
        seconds = self._step.timeout_seconds
        context = self._context(attempt)
        try:
            async with self._slot(spec.type), asyncio.timeout(seconds):
                result = await executor.run(spec, inputs, context)
        except TimeoutError as late:
            raise _timed_out(seconds) from late
        except AgentError:
            raise
        except Exception as defect:
            message = f"The {spec.type} executor failed unexpectedly: {type(defect).__name__}"
            context.log("ERROR", message)
            raise AgentError(message, code="INTERNAL_ERROR") from defect
        await asyncio.to_thread(_check_output, spec, result.output)
        return await asyncio.to_thread(_masked, result, self._masking)

    async def _secrets(self, document: Any, project_id: str | None) -> dict[str, str]:
        """The secrets that templates in `document` name and nothing beside; masked in this run from now on."""
        used = (use.path for use in uses(document, "") if use.path[0] == "secrets")
        names = {path[1] for path in used if len(path) > 1 and isinstance(path[1], str)}
        values = await self._in.ports.secrets.resolve(names, project_id) if names else {}
        for value in values.values():
            self._masking.add(value)
        return values

    async def _rendered_spec(self, inputs: dict[str, Any]) -> AgentSpec:
        spec = self._spec
        templated = templated_config(spec.type, spec.config)
        secrets = await self._secrets(templated, spec.project_id)
        scope = {"inputs": inputs, "secrets": secrets, **self._in.fixed_scope()}
        try:
            rendered = render(templated, scope)
        except ExpressionFailed as failed:
            raise _unrendered(failed, "config") from failed
        return spec.model_copy(update={"config": {**spec.config, **rendered}})

    def _context(self, attempt: StepAttempt) -> AgentContext:
        ports = self._in.ports
        limits = self._spec.limits.model_copy(update={"timeout_seconds": self._step.timeout_seconds})
        return AgentContext(
            limits=limits,
            log=self._in.log.for_step(attempt),
            datasets=ports.results,
            idempotency_key=f"{self._in.run.execution_id}:{attempt.path}",
            data_roots=ports.data_roots,
            egress=ports.egress,
        )

    def _slot(self, kind: AgentType) -> contextlib.AbstractAsyncContextManager[Any]:
        slots = self._in.ports.cpu_slots
        if slots is None or kind not in CPU_BOUND:
            return contextlib.nullcontext()
        return slots

    async def _completed(self, result: AgentResult) -> StepOutcome:
        done = StepOutcome(status=StepStatus.COMPLETED, usage=result.usage, artifacts=result.artifacts)
        payload = storable_json(result.output)
        if len(payload) <= INLINE_BYTES:
            return replace(done, output=result.output, preview=result.preview)
        ref = await self._in.ports.results.keep_json(payload)
        preview = result.preview or payload[:PREVIEW_CHARACTERS].decode(errors="replace")
        return replace(done, output_ref=ref, preview=preview)


def _masked(result: AgentResult, masking: Masking) -> AgentResult:
    """The result as it is recorded and as later steps see it: a secret does not travel from step to step."""
    changes = {"output": masking.json(result.output), "preview": masking.json(result.preview)}
    return result.model_copy(update=changes)


def error_record(error: AgentError) -> dict[str, Any]:
    """What the record keeps of an error: `code`, `message` and, where there are any, `path`, `hint`, `details`."""
    record = {"code": error.code, "message": error.message}
    extras = {"path": error.path, "hint": error.hint, "details": error.details}
    return record | {name: value for name, value in extras.items() if value}


def _stopped(reason: str) -> StepOutcome:
    if reason.startswith(WORKER_LOST):
        return _failed(StepStatus.FAILED, {"code": WORKER_LOST, "message": "The worker stopped while the step ran"})
    return _failed(StepStatus.CANCELLED, {"code": "CANCELLED", "message": reason or "The run was stopped"})


def _failed(status: StepStatus, error: dict[str, Any]) -> StepOutcome:
    return StepOutcome(status=status, error=error)


def _unrendered(failed: ExpressionFailed, where: str) -> AgentError:
    return AgentError(failed.message, code=failed.code, path=where, hint=failed.hint)


def _timed_out(seconds: float | None) -> AgentTimeout:
    return AgentTimeout(
        f"The step was stopped after its {seconds:g} s",
        hint="raise `timeoutSeconds` of the step or its agent, or give it less to do",
    )


def _check_output(spec: AgentSpec, output: Any) -> None:
    try:
        storable_json(output)
    except TypeError as unusable:
        raise OutputInvalid(f"The output cannot be kept as JSON: {unusable}") from unusable
    if spec.output_schema is None:
        return
    problems = matches(spec.output_schema, output)
    if problems:
        raise OutputInvalid(_sentence("The output does not fit the agent's outputSchema", problems))


def _sentence(lead: str, problems: Sequence[Problem]) -> str:
    return f"{lead}: " + "; ".join(f"{p.path}: {p.message}" if p.path else p.message for p in problems[:5])


def _for_record(value: Any) -> Any:
    payload = storable_json(value)
    if len(payload) <= INLINE_BYTES:
        return value
    return {"truncated": True, "bytes": len(payload), "preview": payload[:PREVIEW_CHARACTERS].decode(errors="replace")}
