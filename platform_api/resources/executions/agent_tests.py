"""Tries an agent out: one run of it alone, on the way that every execution goes, and the wait for its end.

While it waits it holds neither a transaction nor a connection.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

from agents.code.backend import SandboxUnavailable
from agents.errors import Problem
from agents.spec import AgentSpec
from flows.compiler.compile import compile_plan
from flows.compiler.schemas import check_inputs
from flows.compiler.scopes import KnownSecrets
from flows.errors import DefinitionInvalid
from flows.orchestrator import Orchestrator
from flows.plan import Plan, PlanWorkflow
from flows.spec import StepSpec, WorkflowDefinition
from flows.states import TriggerType
from platform_api.access.principal import Principal, Via
from platform_api.access.scope import TenantScope, tenant_scope
from platform_api.db.engine import Sessions
from platform_api.db.enums import ResourceStatus
from platform_api.db.models import Agent, Execution
from platform_api.errors import InvalidState, ValidationFailed
from platform_api.kit.ids import new_id
from platform_api.kit.request_context import current_request
from platform_api.resources.agents.service import AgentService, spec_of
from platform_api.resources.agents.visibility import check_changeable
from platform_api.resources.audit_log.service import AuditLog
from platform_api.resources.budgets.service import BudgetGate
from platform_api.resources.executions.attending import until_final
from platform_api.resources.executions.delivery import Delivery
from platform_api.resources.executions.filters import LogFilters
from platform_api.resources.executions.journal import admit
from platform_api.resources.executions.planning import Planner
from platform_api.resources.executions.repository import ExecutionRepository, LogRepository, StepRunRepository
from platform_api.resources.executions.schemas import AgentTestView
from platform_api.resources.executions.views import tested_view
from platform_api.resources.projects.service import ProjectLookup
from platform_api.resources.secrets.service import SecretNames
from platform_api.resources.workers.gate import SandboxGate, refused
from platform_api.resources.workflows.reader import WorkflowReader
from platform_api.resources.workflows.slugs import slug_of

STEP_KEY = "test"
MAX_LINES = 500
"""Of the log, in the answer."""


@dataclass(frozen=True)
class AgentTester:
    """Tests agents for one caller. `seconds` bounds agents that have no limit of their own, and the wait for all."""

    sessions: Sessions
    orchestrator: Orchestrator
    caller: Principal
    seconds: float

    async def run(self, agent_id: UUID, given: dict[str, Any]) -> AgentTestView:
        """The test's record at its end, or as it is when the time to wait is over.

        Raises `ValidationFailed` for inputs that the agent does not take, `InvalidState` for an agent that cannot run,
        `ServiceUnavailable` where no worker has a sandbox for its code.
        """
        async with self._scope() as scope:
            agent = await self._testable(scope, agent_id)
            execution = await admit(scope, await self._execution(scope, agent, given))
            await AuditLog(scope).record("agent.test", "agent", agent.id, after={"executionId": str(execution.id)})
            delivery = Delivery(sessions=self.sessions, orchestrator=self.orchestrator, tenant_id=self.caller.tenant_id)
            scope.after_commit(partial(delivery.attempt, execution.id))
        limit = spec_of(agent).limits.timeout_seconds or self.seconds
        await until_final(self._scope, execution.id, min(limit, self.seconds))
        return await self._result(execution.id)

    async def _testable(self, scope: TenantScope, agent_id: UUID) -> Agent:
        agent = await AgentService(scope).get(agent_id)
        if agent.status is ResourceStatus.ARCHIVED:
            raise InvalidState("This agent is ARCHIVED, which is final: duplicate it to go on")
        if agent.status is not ResourceStatus.ACTIVE:
            check_changeable(self.caller, agent, "agent")
        return agent

    async def _execution(self, scope: TenantScope, agent: Agent, given: dict[str, Any]) -> Execution:
        named = PlanWorkflow(
            id="",
            name=agent.name,
            slug=slug_of(agent.name),
            version=agent.version,
            tenant_id=str(scope.tenant_id),
            tenant_slug=await WorkflowReader(scope).tenant_slug(),
            project_id=str(agent.project_id) if agent.project_id is not None else None,
        )
        spec, children = await Planner(scope).of_agent(agent)
        bounds = await ProjectLookup(scope).limits(agent.project_id)
        spec = spec.model_copy(update={"limits": spec.limits.tightened(bounds)})
        called = await Planner(scope).called_by(agent)
        secrets = await SecretNames(scope).known(agent.project_id, *(each.project_id for each in called.values()))
        specs = {written: spec_of(each) for written, each in called.items()} | {spec.id: spec}
        plan, inputs = await asyncio.to_thread(_planned, spec, specs, named, given, self.seconds, secrets, children)
        await BudgetGate(scope).check(plan)
        await SandboxGate(scope).check(plan)
        return Execution(
            id=new_id(),
            tenant_id=scope.tenant_id,
            agent_id=agent.id,
            user_id=self.caller.user_id,
            trigger_type=TriggerType.MANUAL if self.caller.via is Via.TOKEN else TriggerType.API,
            tags=["agent-test"],
            plan=plan.model_dump(mode="json", by_alias=True),
            inputs=inputs,
            request_id=current_request().request_id,
        )

    async def _result(self, execution_id: UUID) -> AgentTestView:
        async with self._scope() as scope:
            execution, _ = await ExecutionRepository(scope).with_workflow(execution_id)
            lines, _ = await LogRepository(scope).of(execution_id, LogFilters(), page=1, page_size=MAX_LINES)
            sandbox = await StepRunRepository(scope).sandbox_of(execution_id, STEP_KEY)
        error = execution.error or {}
        if error.get("code") == SandboxUnavailable.default_code:
            raise refused(f"{error['message']} (execution {execution.id})")
        return tested_view(execution, lines, sandbox)

    def _scope(self) -> Any:
        return tenant_scope(self.sessions, self.caller.tenant_id, self.caller)


def _planned(
    spec: AgentSpec,
    specs: Mapping[str, AgentSpec],
    named: PlanWorkflow,
    given: dict[str, Any],
    seconds: float,
    secrets: KnownSecrets,
    children: Mapping[str, Plan],
) -> tuple[Plan, dict[str, Any]]:
    """A plan of one step, and the inputs with defaults. Templates name the inputs, so nothing in them is a template."""
    try:
        inputs = check_inputs(spec.input_schema, given)
    except DefinitionInvalid as invalid:
        raise _unfit(invalid.problems) from invalid
    step = StepSpec(
        step_key=STEP_KEY,
        name=named.name[:200],
        agent_id=spec.id,
        inputs={name: f"{{{{ inputs[{json.dumps(name)}] }}}}" for name in inputs},
        timeout_seconds=spec.limits.timeout_seconds or seconds,
    )
    definition = WorkflowDefinition(steps=(step,), output=f"{{{{ {STEP_KEY}.output }}}}")
    try:
        return compile_plan(definition, named, specs, known_secrets=secrets, children=children), inputs
    except DefinitionInvalid as invalid:
        raise _unfit(invalid.problems) from invalid


def _unfit(problems: Sequence[Problem]) -> ValidationFailed | InvalidState:
    written = {"inputs": "input", "steps[0].inputs": "input"}
    renamed = []
    for problem in problems:
        prefix = next((each for each in written if problem.path == each or problem.path.startswith(f"{each}.")), None)
        if prefix is None:
            return InvalidState("The agent cannot run as it is now; see details", details=problems)
        renamed.append(problem.model_copy(update={"path": written[prefix] + problem.path.removeprefix(prefix)}))
    return ValidationFailed("The input does not fit the agent; see details", details=renamed)
