"""What a worker's process is made of: database, result store, executors; and how it finds the run behind a flow run."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from uuid import UUID

from prefect.client.schemas.objects import FlowRun
from sqlalchemy.ext.asyncio import AsyncEngine

from agents.code.backends import selection
from agents.code.selection import SandboxChoice
from agents.egress.policy import EgressPolicy
from agents.registry import executors
from agents.result import Usage
from flows.orchestrator import Orchestrator, work_pool
from flows.plan import Plan
from flows.runtime.builder import FlowHeader
from flows.runtime.ports import Ports, Run
from flows.runtime.record import unbroken
from flows.states import Environment, ExecutionStatus, TriggerType, is_final
from platform_api.access.scope import system_scope, tenant_scope
from platform_api.db.engine import create_engine, libpq_url, session_maker
from platform_api.db.models import Execution
from platform_api.errors import InvalidState
from platform_api.kit import clock
from platform_api.kit.crypto import Cipher
from platform_api.kit.result_stores import open_result_store
from platform_api.resources.budgets.spending import Budgets
from platform_api.resources.executions.adoption import Adoption, adopt, workflow_plan
from platform_api.resources.executions.claims import Claims
from platform_api.resources.executions.journal import Journal, find_driven
from platform_api.resources.executions.operator_answers import OperatorAnswers
from platform_api.resources.executions.past import load_past
from platform_api.resources.executions.persistence import persistently
from platform_api.resources.executions.recovery import Loss, Recovery, find_lost
from platform_api.resources.executions.repository import ExecutionRepository
from platform_api.resources.llm_providers.keyring import Keyring
from platform_api.resources.provider_tests.service import tried_provider
from platform_api.resources.secrets.vault import Vault
from platform_api.resources.tenants.policy import code_egress
from platform_api.resources.workers.unsafe import record_unsafe_start
from platform_api.settings import Settings

GONE_LOOKS, GONE_LOOK_SECONDS = 40, 0.05


class AlreadyRunning(Exception):
    """Prefect has given out a run that another process runs; whoever got it second leaves it."""


class AlreadyOver(Exception):
    """Prefect has given out a run that has ended, and nobody wants it anew; Prefect is to be told its end."""


class Wiring:
    """One per process; `open_run` is what a flow calls first."""

    def __init__(
        self, settings: Settings, engine: AsyncEngine, *, on_taken_over: Callable[[], object] = lambda: None
    ) -> None:
        self.sessions = session_maker(engine)
        self.cipher = Cipher.of(settings.auth)
        self.orchestrator = _orchestrator(settings)
        self._settings = settings
        self._executors = executors(selection(settings.runs.code_sandbox, settings.runs.code_engine))
        self._files = tenants_files(settings)
        self._results = open_result_store(settings)
        self._claims = Claims(libpq_url(settings.database))
        self._on_taken_over = on_taken_over
        self._cpu_slots = asyncio.Semaphore(os.cpu_count() or 1)

    async def open_run(self, flow_run: FlowRun, workflow_id: UUID | None, *, run_count: int) -> tuple[Run, Ports]:
        """The execution that was submitted as `flow_run`; one that was started elsewhere gets its row now.

        One that was suspended goes on, with what an operator may have answered in Prefect. Without a workflow it is
        the test of an agent, which starts over REST alone; raises `InvalidState` for others, and `AlreadyRunning` or
        `AlreadyOver` for a run that is none to begin.

        `run_count` counts from 1: Prefect gives a run that is retried in its UI the next number under the same id.
        """
        execution = await self._known(flow_run, run_count)
        if execution is not None and execution.status is ExecutionStatus.RUNNING:
            raise AlreadyRunning(f"execution {execution.id} is run by another process")
        execution = execution or await self._adopted(flow_run, workflow_id, run_count)
        if execution.status is ExecutionStatus.PAUSED:
            answers = OperatorAnswers(
                sessions=self.sessions, orchestrator=self.orchestrator, tenant_id=execution.tenant_id
            )
            await answers.take(execution.id, flow_run.id)
        return await self._run(execution), self._ports(execution.tenant_id, tried_provider(execution))

    async def header(self, workflow_id: UUID) -> FlowHeader:
        """How Prefect should know the workflow as it stands now."""
        return FlowHeader.of(await workflow_plan(self.sessions, workflow_id))

    async def aclose(self) -> None:
        """Closes what the executors keep open, and gives up the claims."""
        for executor in self._executors.values():
            await executor.aclose()
        await self._claims.aclose()
        await self.orchestrator.aclose()

    def journal(self, tenant_id: UUID) -> Journal:
        """The writer of one tenant's run records."""
        return Journal(self.sessions, tenant_id, on_taken_over=self._on_taken_over)

    async def is_cancel_requested(self, flow_run_id: UUID) -> bool:
        """Whether the end of the run was asked for, by whomever."""
        async with system_scope(self.sessions) as scope:
            found = await find_driven(scope.session, flow_run_id, None)
        if found is None:
            return False
        execution_id, tenant_id = found
        async with tenant_scope(self.sessions, tenant_id) as scope:
            execution, _ = await ExecutionRepository(scope).with_workflow(execution_id, light=True)
        return execution.cancel_requested_at is not None

    async def request_cancel(self, flow_run_id: UUID, message: str) -> None:
        """Records that Prefect asks for the end of a run; one that is not running ends with it."""
        async with system_scope(self.sessions) as scope:
            found = await find_driven(scope.session, flow_run_id, None)
        if found is not None:
            execution_id, tenant_id = found
            await self.journal(tenant_id).cancel_requested(execution_id, message)

    async def abandon(
        self, flow_run: FlowRun, *, code: str, message: str, status: ExecutionStatus = ExecutionStatus.FAILED
    ) -> ExecutionStatus | None:
        """Ends the execution that a flow run drives, wherever it was started, when its process cannot.

        Returns what it is then: CANCELLED where that was asked for.
        """
        async with system_scope(self.sessions) as scope:
            found = await find_driven(scope.session, flow_run.id, _as_uuid(flow_run.idempotency_key))
        if found is None:
            return None
        execution_id, tenant_id = found
        await self.journal(tenant_id).abandoned(execution_id, code=code, message=message, status=status)
        async with tenant_scope(self.sessions, tenant_id) as scope:
            return await ExecutionRepository(scope).status_of(execution_id)

    async def recover(self, flow_run_id: UUID, *, died: bool) -> Loss | None:
        """Takes back the run whose process has ended, so that another goes on with it; None where it has no row yet.

        The database needs a moment to see that a process is gone.
        """
        async with system_scope(self.sessions) as scope:
            run = await find_lost(scope.session, flow_run_id)
        if run is None:
            await self.orchestrator.put_back(flow_run_id)
            return None
        recovery = Recovery(sessions=self.sessions, orchestrator=self.orchestrator)
        for _ in range(GONE_LOOKS):
            loss = await recovery.recover(run, died=died)
            if loss is not Loss.DRIVEN:
                break
            await asyncio.sleep(GONE_LOOK_SECONDS)
        return loss

    async def _known(self, flow_run: FlowRun, run_count: int) -> Execution | None:
        """The newest execution of the flow run, None where Prefect runs anew what has ended (or what is not ours).

        Raises `AlreadyOver`.
        """
        async with system_scope(self.sessions) as scope:
            found = await find_driven(scope.session, flow_run.id, _as_uuid(flow_run.idempotency_key))
        if found is None:
            return None
        execution_id, tenant_id = found
        async with tenant_scope(self.sessions, tenant_id) as scope:
            execution = await scope.session.get_one(Execution, execution_id)
        if not is_final(execution.status):
            return execution
        if run_count > (execution.prefect_run_count or 1) and await self.orchestrator.is_wanted_anew(flow_run.id):
            return None
        raise AlreadyOver(f"execution {execution.id} is {execution.status.value}")

    async def _run(self, execution: Execution) -> Run:
        plan = Plan.model_validate(execution.plan)
        async with tenant_scope(self.sessions, execution.tenant_id) as scope:
            past = await load_past(scope.session, execution.id, plan)
            if self._settings.runs.code_sandbox is SandboxChoice.UNSAFE_LOCAL:
                await record_unsafe_start(scope, execution.id, plan)
        return Run(
            execution_id=execution.id,
            plan=plan,
            inputs=execution.inputs or {},
            environment=execution.environment,
            trigger_type=execution.trigger_type,
            request_id=execution.request_id,
            past=past,
            active_seconds=execution.active_ms / 1000,
            usage=Usage(
                prompt_tokens=execution.prompt_tokens,
                completion_tokens=execution.completion_tokens,
                cost=execution.cost,
            ),
            depth=execution.depth,
        )

    async def _adopted(self, flow_run: FlowRun, workflow_id: UUID | None, run_count: int) -> Execution:
        if workflow_id is None:
            raise InvalidState(
                "An agent is tested with `POST /api/v1/agents/{id}/test`; it cannot be started from here"
            )
        return await adopt(
            self.sessions,
            Adoption(
                workflow_id=workflow_id,
                environment=_environment(flow_run),
                prefect_flow_run_id=flow_run.id,
                run_count=run_count,
                inputs=flow_run.parameters,
                trigger=TriggerType.SCHEDULED if flow_run.auto_scheduled else TriggerType.MANUAL,
            ),
        )

    @asynccontextmanager
    async def _driving(self, budgets: Budgets, execution_id: UUID) -> AsyncIterator[None]:
        """While this process drives the execution; what it has used of budgets is written by the end."""
        async with self._claims.holding(execution_id):
            try:
                yield
            finally:
                await unbroken(budgets.close(execution_id))

    def _ports(self, tenant_id: UUID, tried: UUID | None) -> Ports:
        runs = self._settings.runs
        budgets = Budgets(self.sessions, tenant_id, persistently)
        return Ports(
            journal=self.journal(tenant_id),
            results=self._results,
            executors=self._executors,
            data_roots=(self._files / str(tenant_id), *runs.data_roots),
            egress=EgressPolicy(allow=runs.egress_allow, tenant=str(tenant_id)),
            code_egress=partial(code_egress, self.sessions, tenant_id),
            secrets=Vault(self.sessions, tenant_id, self.cipher),
            providers=Keyring(self.sessions, tenant_id, self.cipher, only=tried),
            budget_around=budgets.around,
            claim=partial(self._driving, budgets),
            cpu_slots=self._cpu_slots,
            now=clock.now,
        )


def tenants_files(settings: Settings) -> Path:
    """Where sinks of data agents write: a folder for each tenant, the first of its data roots and of nobody else's."""
    folder = settings.data_dir / "files"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder.resolve()


@asynccontextmanager
async def wired(
    settings: Settings, *, application_name: str, on_taken_over: Callable[[], object] = lambda: None
) -> AsyncIterator[Wiring]:
    """A process's wiring, with its connections closed at the end.

    `on_taken_over` is called when a run of this process turns out to be another's by now.
    """
    engine = create_engine(settings.database, application_name=application_name)
    wiring = Wiring(settings, engine, on_taken_over=on_taken_over)
    try:
        yield wiring
    finally:
        await wiring.aclose()
        await engine.dispose()


def _orchestrator(settings: Settings) -> Orchestrator:
    auth = settings.prefect.auth_string
    return Orchestrator(
        api_url=settings.prefect.api_url,
        auth=auth.get_secret_value() if auth else None,
        timeout_seconds=settings.prefect.timeout_seconds,
    )


def _environment(flow_run: FlowRun) -> Environment:
    """Told by the pool that the run came through; a pool that is not ours counts as DEVELOPMENT."""
    pools = {work_pool(environment): environment for environment in Environment}
    return pools.get(flow_run.work_pool_name or "", Environment.DEVELOPMENT)


def _as_uuid(text: str | None) -> UUID | None:
    try:
        return UUID(text or "")
    except ValueError:
        return None
