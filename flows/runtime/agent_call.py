"""One call of an agent's executor: its config filled in, its surroundings handed over, its result without secrets."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from typing import Any

from agents.context import AgentContext
from agents.errors import AgentError, ConfigInvalid, InputInvalid, OutputInvalid, Problem
from agents.masking import Masking
from agents.providers.budget import Budget
from agents.providers.provider import Provider
from agents.result import AgentResult
from agents.spec import AgentSpec, AgentType
from flows.compiler.agent_rules import templated_config
from flows.compiler.expressions import render, uses
from flows.compiler.schemas import check_inputs, matches
from flows.errors import DefinitionInvalid, ExpressionFailed
from flows.runtime.live_calls import LiveCalls
from flows.runtime.record import unrendered
from flows.runtime.surroundings import StepAt
from flows.runtime.within import within

CPU_BOUND = frozenset({AgentType.CODE, AgentType.DATA})
MAX_DEPTH = 4
"""Of agents that models call which call models."""


@dataclass(frozen=True, kw_only=True)
class Shown:
    """Where those outside see what a call does: a model's answer as it comes in, and what was called on the way."""

    calls: LiveCalls
    tell_text: Callable[[str], None]


class AgentCall:
    """Of a step's agent, or of one that its model calls as a tool: then `depth` counts from 1."""

    def __init__(self, at: StepAt, spec: AgentSpec, *, depth: int = 0, key: str = "") -> None:
        self._at = at
        self._around = at.around
        self._spec = spec
        self._depth = depth
        self._key = key or f"{at.around.run.execution_id}:{at.path}"
        self._masking = at.around.log.masking
        self._launched = count(1)

    async def run(self, inputs: dict[str, Any], *, budget: Budget, seconds: float | None, shown: Shown) -> AgentResult:
        """The result as it is recorded and as later steps see it: a secret does not travel from step to step."""
        spec = await self.rendered(inputs)
        executor = self._around.ports.executors.get(spec.type)
        if executor is None:
            raise AgentError(f"This worker cannot run {spec.type} agents", code="UNSUPPORTED_AGENT_TYPE")
        context = self._context(budget, seconds, shown)
        try:
            async with self._cpu_slot(spec.type), within(seconds):
                result = await executor.run(spec, inputs, context)
        except AgentError:
            raise
        except Exception as defect:
            message = f"The {spec.type} executor failed unexpectedly: {type(defect).__name__}"
            context.log("ERROR", message)
            raise AgentError(message, code="INTERNAL_ERROR") from defect
        return await _masked(result, self._masking)

    async def rendered(self, inputs: dict[str, Any]) -> AgentSpec:
        """The agent with its config filled in."""
        spec = self._spec
        templated = templated_config(spec.type, spec.config)
        secrets = await resolved_secrets(self._at, templated, spec.project_id)
        scope = {"inputs": inputs, "secrets": secrets, **self._around.fixed_names}
        try:
            rendered = render(templated, scope)
        except ExpressionFailed as failed:
            raise unrendered(failed, "config") from failed
        return spec.model_copy(update={"config": {**spec.config, **rendered}})

    def agent(self, agent_id: str) -> AgentSpec:
        """An agent that this one's model may call."""
        spec = self._around.run.plan.agents.get(agent_id)
        if spec is None:
            raise ConfigInvalid(f"there is no agent `{agent_id}` in this run; save the agent again", path="tools")
        return spec

    async def launch(self, agent_id: str, inputs: dict[str, Any], budget: Budget, shown: Shown) -> AgentResult:
        """Runs an agent that this one's model calls. What its own model says is for the model that called it."""
        spec = self.agent(agent_id)
        if self._depth >= MAX_DEPTH:
            raise AgentError(f"Agents call each other deeper than {MAX_DEPTH} levels", code="NESTED_TOO_DEEP")
        checked = await checked_inputs(spec, inputs)
        key = f"{self._key}:{agent_id}:{next(self._launched)}"
        call = AgentCall(self._at, spec, depth=self._depth + 1, key=key)
        result = await call.run(
            checked, budget=budget, seconds=spec.limits.timeout_seconds, shown=replace(shown, tell_text=_untold)
        )
        budget.tell(result.usage)
        await check_output(spec, result.output)
        return result

    async def usable(self) -> Sequence[Provider]:
        """The tenant's providers of models; what is secret of them is masked in this run from now on."""
        providers = await self._around.ports.providers.usable()
        for provider in providers:
            for secret in provider.secrets:
                self._masking.add(secret)
        return providers

    def _context(self, budget: Budget, seconds: float | None, shown: Shown) -> AgentContext:
        ports = self._around.ports
        return AgentContext(
            limits=self._spec.limits.model_copy(update={"timeout_seconds": seconds}),
            log=self._around.log.for_step(self._at.attempt),
            datasets=ports.results,
            idempotency_key=self._key,
            data_roots=ports.data_roots,
            fused_into=None if self._depth else self._at.step.fused_into,
            lazy_inputs=frozenset() if self._depth else frozenset(self._at.step.lazy_inputs),
            replays=self._at.step.replays,
            egress=ports.egress,
            code_egress=ports.code_egress,
            providers=self,
            budget=budget,
            calls=shown.calls.book(self._spec.id, self._depth),
            tell_text=shown.tell_text,
            tell_sandbox=self._at.usage.ran_in,
            check_schema=matches,
            launcher=_Launcher(self, shown),
        )

    def _cpu_slot(self, kind: AgentType) -> contextlib.AbstractAsyncContextManager[Any]:
        slots = self._around.ports.cpu_slots
        if slots is None or kind not in CPU_BOUND:
            return contextlib.nullcontext()
        return slots


class _Launcher:
    """What an executor sees of a call."""

    def __init__(self, call: AgentCall, shown: Shown) -> None:
        self.agent = call.agent
        self.run = partial(call.launch, shown=shown)


async def resolved_secrets(at: StepAt, document: Any, project_id: str | None) -> dict[str, str]:
    """The secrets that templates in `document` name and nothing beside; masked in this run from now on."""
    used = (use.path for use in uses(document, "") if use.path[0] == "secrets")
    names = {path[1] for path in used if len(path) > 1 and isinstance(path[1], str)}
    values = await at.around.ports.secrets.resolve(names, project_id) if names else {}
    for value in values.values():
        at.around.log.masking.add(value)
    return values


async def checked_inputs(spec: AgentSpec, inputs: dict[str, Any]) -> dict[str, Any]:
    """The inputs with the defaults of the agent's schema; raises `InputInvalid`."""
    if spec.input_schema is None:
        return inputs
    try:
        return await asyncio.to_thread(check_inputs, spec.input_schema, inputs)
    except DefinitionInvalid as invalid:
        lead = "The inputs do not fit the agent's inputSchema"
        raise InputInvalid(sentence(lead, invalid.problems)) from invalid


async def check_output(spec: AgentSpec, output: Any) -> None:
    """Raises `OutputInvalid` when the output does not fit the agent's schema."""
    if spec.output_schema is None:
        return
    problems = await asyncio.to_thread(matches, spec.output_schema, output)
    if problems:
        raise OutputInvalid(sentence("The output does not fit the agent's outputSchema", problems))


def sentence(lead: str, problems: Sequence[Problem]) -> str:
    """The first few problems in one message."""
    return f"{lead}: " + "; ".join(f"{p.path}: {p.message}" if p.path else p.message for p in problems[:5])


async def _masked(result: AgentResult, masking: Masking) -> AgentResult:
    if not masking.is_needed:
        return result
    output, preview = await asyncio.to_thread(lambda: (masking.json(result.output), masking.json(result.preview)))
    return result.model_copy(update={"output": output, "preview": preview})


def _untold(_text: str) -> None:
    """Shows nothing."""
