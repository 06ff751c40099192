"""Tries a provider out: one run of one step, on the way that every execution goes, and the wait for its end.

While it waits it holds neither a transaction nor a connection.
"""

import asyncio
import time
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from uuid import UUID

from agents.spec import AgentSpec, AgentType
from flows.orchestrator import Orchestrator
from flows.plan import Plan, PlanStep, PlanWorkflow
from flows.spec import StepType
from flows.states import ExecutionStatus, TriggerType, is_final
from platform_api.access.principal import Principal, Via
from platform_api.access.scope import TenantScope, tenant_scope
from platform_api.db.engine import Sessions
from platform_api.db.models import Execution, LlmProvider
from platform_api.kit.ids import new_id
from platform_api.kit.request_context import current_request
from platform_api.resources.audit_log.service import AuditLog
from platform_api.resources.executions.delivery import Delivery
from platform_api.resources.executions.journal import admit
from platform_api.resources.executions.service import ExecutionService
from platform_api.resources.llm_providers.service import LlmProviderService
from platform_api.resources.provider_tests.schemas import ProviderTestView
from platform_api.resources.workflows.reader import WorkflowReader
from platform_api.resources.workflows.slugs import slug_of

STEP_KEY = "test"
GRACE_SECONDS = 5.0
"""What starting a run and recording its end may take beside the provider's own time."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.5


@dataclass(frozen=True)
class ProviderTester:
    """Tests providers for one caller. `seconds` bounds the test and the wait for it."""

    sessions: Sessions
    orchestrator: Orchestrator
    caller: Principal
    seconds: float

    async def run(self, provider_id: UUID, model: str | None) -> ProviderTestView:
        """How it went, or how far it is when the time to wait is over. Raises `NotFound`."""
        async with self._scope() as scope:
            provider = await LlmProviderService(scope).get(provider_id)
            execution = await admit(scope, await self._execution(scope, provider, model))
            after = {"executionId": str(execution.id)}
            await AuditLog(scope).record("llm-provider.test", "llm-provider", provider.id, after=after)
            delivery = Delivery(sessions=self.sessions, orchestrator=self.orchestrator, tenant_id=self.caller.tenant_id)
            scope.after_commit(partial(delivery.attempt, execution.id))
        await self._wait(execution.id)
        async with self._scope() as scope:
            tested, _ = await ExecutionService(scope).get(execution.id)
        return _view(tested)

    async def _execution(self, scope: TenantScope, provider: LlmProvider, model: str | None) -> Execution:
        named = PlanWorkflow(
            id="",
            name=provider.name,
            slug=slug_of(provider.name),
            version=provider.version,
            tenant_id=str(scope.tenant_id),
            tenant_slug=await WorkflowReader(scope).tenant_slug(),
        )
        return Execution(
            id=new_id(),
            tenant_id=scope.tenant_id,
            user_id=self.caller.user_id,
            trigger_type=TriggerType.MANUAL if self.caller.via is Via.TOKEN else TriggerType.API,
            tags=["llm-provider-test"],
            plan=_plan(named, model, self.seconds).model_dump(mode="json", by_alias=True),
            inputs={"providerId": str(provider.id)},
            request_id=current_request().request_id,
        )

    async def _wait(self, execution_id: UUID) -> None:
        deadline, pause = time.monotonic() + self.seconds + GRACE_SECONDS, _FIRST_PAUSE
        while time.monotonic() < deadline:
            async with self._scope() as scope:
                standing = await ExecutionService(scope).standing(execution_id)
            if is_final(standing.status):
                return
            await asyncio.sleep(pause)
            pause = min(pause * 1.25, _LONGEST_PAUSE)

    def _scope(self) -> AbstractAsyncContextManager[TenantScope]:
        return tenant_scope(self.sessions, self.caller.tenant_id, self.caller)


def tried_provider(execution: Execution) -> UUID | None:
    """The provider that an execution tries out, active or not; None for what runs a workflow or an agent."""
    if execution.workflow_id is not None or execution.agent_id is not None:
        return None
    return UUID(execution.inputs["providerId"]) if "providerId" in execution.inputs else None


def _plan(named: PlanWorkflow, model: str | None, seconds: float) -> Plan:
    """One step of an agent that is nobody's."""
    config = {"trial": True, **({"model": model} if model else {})}
    spec = AgentSpec(id="", version=1, name=named.name, type=AgentType.LLM, config=config)
    step = PlanStep(step_key=STEP_KEY, name=named.name, type=StepType.AGENT, agent="trial", timeout_seconds=seconds)
    return Plan(workflow=named, agents={"trial": spec}, steps=(step,), output=f"{{{{ {STEP_KEY}.output }}}}")


def _view(execution: Execution) -> ProviderTestView:
    is_over, output = is_final(execution.status), execution.outputs or {}
    return ProviderTestView(
        execution_id=execution.id,
        status=execution.status,
        ok=execution.status is ExecutionStatus.COMPLETED if is_over else None,
        latency_ms=output.get("latencyMs"),
        model=output.get("model"),
        models=output.get("models"),
        answer=output.get("text"),
        total_cost=float(execution.cost) if is_over and execution.cost is not None else None,
        error=execution.error,
    )
