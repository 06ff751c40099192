"""What happened although who asked for it saw an error: a commit, a call of Prefect. And what did not happen at all.

Whole runs in one process, from the request that starts them to their end, over the real database and a Prefect in
memory, where commits and calls fail at random before or after they are made, and processes die in between. Their
record is true and whole in the end, each step's result is in it once, and Prefect says the same.

`TURBOCAT_TEST_LOST_ANSWERS` asks for more seeds than a few.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import text

from agents.context import AgentContext
from agents.spec import AgentSpec, AgentType
from deployments.local.environment import inherited
from deployments.wiring import AlreadyOver, AlreadyRunning, Wiring, wired
from flows.errors import PrefectUnavailable
from flows.orchestrator import Orchestrator
from flows.runtime.driver import RunDriver
from flows.runtime.log import RunLog
from flows.runtime.ports import LogLine, Ports, RunOutcome
from flows.runtime.ports import Run as OpenedRun
from flows.runtime.step import WORKER_LOST
from platform_api.access.scope import system_scope
from platform_api.db.engine import Sessions
from platform_api.kit import clock
from platform_api.resources.executions import persistence
from platform_api.resources.executions.admission import Dispatcher
from platform_api.resources.executions.delivery import AdmissionLimits
from platform_api.resources.executions.persistence import ABSENCES
from platform_api.resources.executions.reconciler import SETTLING, Reconciler
from platform_api.resources.executions.timekeeper import Timekeeper
from platform_api.settings import Settings
from tests.factories.api import Api, owner, step
from tests.fakes.faulty_commits import with_faults
from tests.fakes.prefect_server import TERMINAL, PrefectServer, Run
from tests.fakes.runtime import ScriptedExecutor
from tests.fixtures.true_record import AGREES, NEVER

pytestmark = [pytest.mark.case(32, 33, 34, 36), pytest.mark.slow]

RATE = 0.07
"""Of each of the two ways to fail."""
DEATHS = 0.2
"""How many of the times that a process has a run it dies before the run's end."""
RUNS = 4
ROUNDS = 120
ROUND_SECONDS = 5
STEPS, AT_ONCE = 7, 5
"""Of the workflow: calls of agents, and how many of them may be under way when a process dies."""
EXPECTED = {"last": {"n": 16}}


@dataclass
class Chance:
    """What goes wrong next. Nothing does while it is off."""

    draw: random.Random
    on: bool = False
    happened: list[str] = field(default_factory=list)

    def fault(self) -> str | None:
        """Whether a request, or the answer to it, is lost now."""
        drawn = self.draw.random() if self.on else 1.0
        fault = "request" if drawn < RATE else "answer" if drawn < 2 * RATE else None
        self.happened += [fault] if fault else []
        return fault


@pytest.fixture(params=range(int(inherited().get("TURBOCAT_TEST_LOST_ANSWERS", "3"))))
def chance(request: pytest.FixtureRequest) -> Chance:
    return Chance(random.Random(request.param))  # repeatable, guards nothing


@pytest.fixture
def database_url(fresh_database_url: str) -> str:
    """The rounds of a worker look after all runs that there are."""
    return fresh_database_url


@pytest.fixture
def sessions(fresh_sessions: Sessions) -> Sessions:
    return fresh_sessions


@pytest.fixture
def prefect(chance: Chance) -> PrefectServer:
    return PrefectServer(chance.fault)


@pytest.fixture
async def orchestrator(prefect: PrefectServer) -> AsyncIterator[Orchestrator]:
    made = prefect.orchestrator()
    yield made
    await made.aclose()


@pytest.fixture
async def api(client: httpx.AsyncClient) -> Api:
    return await owner(client)


@dataclass(kw_only=True)
class Worker:
    """Takes what Prefect has scheduled, as our worker and its processes do, and does their rounds."""

    wiring: Wiring
    prefect: PrefectServer
    chance: Chance
    workflow_id: UUID
    reconciler: Reconciler
    dispatcher: Dispatcher
    timekeeper: Timekeeper
    executor: ScriptedExecutor = field(default_factory=lambda: ScriptedExecutor(_one_more))

    async def round(self) -> None:
        """Everything once."""
        for work in (self.dispatcher.dispatch, self.reconciler.recover, self.reconciler.sweep, self.timekeeper.tick):
            with contextlib.suppress(*ABSENCES):
                await work()
        await asyncio.gather(*(self._run(each) for each in self.prefect.due()))

    async def _run(self, run: Run) -> None:
        run.enter(type="PENDING")
        count = run.flow_run.run_count + (not run.is_resumed)
        try:
            opened, ports = await self.wiring.open_run(run.flow_run, self.workflow_id, run_count=count)
        except AlreadyRunning:
            return
        except (AlreadyOver, PrefectUnavailable, *ABSENCES):
            await self._take_back(run)
            return
        run.flow_run.run_count = count
        run.enter(type="RUNNING")
        driving = asyncio.create_task(self._drive(opened, ports, run))
        if self.chance.draw.random() < DEATHS:
            await asyncio.wait([driving], timeout=self.chance.draw.random() / 10)
            driving.cancel(WORKER_LOST)
        try:
            outcome = await driving
        except asyncio.CancelledError:
            await self._take_back(run)
        except Exception:
            run.enter(type="FAILED")
        else:
            run.enter(type=outcome.status.value)

    async def _drive(self, opened: OpenedRun, ports: Ports, run: Run) -> RunOutcome:
        async def write(lines: list[LogLine]) -> None:
            await ports.journal.logged(opened.execution_id, lines)

        mine = replace(ports, executors={AgentType.CODE: self.executor})
        async with ports.claim(opened.execution_id), RunLog(write, lambda *_: None) as log:
            return await RunDriver(opened, mine, log).drive(
                flow_run_id=run.flow_run.id, run_count=run.flow_run.run_count
            )

    async def _take_back(self, run: Run) -> None:
        with contextlib.suppress(PrefectUnavailable, *ABSENCES):
            await self.wiring.recover(run.flow_run.id, died=False)


def _one_more(_spec: AgentSpec, inputs: dict[str, Any], _context: AgentContext) -> dict[str, int]:
    return {"n": sum(inputs["n"]) + 1 if isinstance(inputs["n"], list) else inputs["n"] + 1}


async def a_workflow(api: Api) -> UUID:
    """A chain with a wait, a loop and branches."""
    agent = await api.active_agent()

    def more(key: str, n: Any, *after: str) -> dict[str, Any]:
        return step(key, agent, inputs={"n": n}, dependsOn=list(after))

    loop = {"items": [1, 2, 3], "steps": [more("one", "{{ item }}")], "collect": "{{ one.output.n }}"}
    branches = {"left": {"steps": [more("l", 1)]}, "right": {"steps": [more("r", 2)]}}
    steps = [
        more("first", 0),
        {"stepKey": "pause", "type": "WAIT", "config": {"kind": "duration", "seconds": 10}, "dependsOn": ["first"]},
        {"stepKey": "each", "type": "LOOP", "config": loop, "dependsOn": ["pause"]},
        {"stepKey": "both", "type": "PARALLEL", "config": {"branches": branches}, "dependsOn": ["pause"]},
        more(
            "last",
            "{{ each.output['items'] + [both.output.left.n, both.output.right.n, first.output.n] }}",
            "each",
            "both",
            "first",
        ),
    ]
    return UUID((await api.active_workflow(steps=steps))["id"])


async def accepted(api: Api, workflow_id: UUID) -> str:
    """An execution, asked for with the same key until there is an answer."""
    key = {"Idempotency-Key": uuid4().hex}
    while True:
        answer = await api.send("POST", f"/workflows/{workflow_id}/execute", {}, **key)
        if answer.status_code == httpx.codes.CREATED:
            return str(answer.json()["data"]["executionId"])
        assert answer.is_server_error, answer.text


async def rows(sessions: Sessions, statement: str, tenant_id: UUID) -> list[Any]:
    async with system_scope(sessions) as scope:
        found = await scope.session.execute(text(statement.replace("%s", ":tenant_id")), {"tenant_id": tenant_id})
        return list(found.mappings())


async def test_whatever_answer_is_lost_nothing_is_lost_or_doubled(
    api: Api,
    chance: Chance,
    prefect: PrefectServer,
    orchestrator: Orchestrator,
    sessions: Sessions,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(persistence, "FIRST_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(persistence, "LONGEST_PAUSE_SECONDS", 0.005)
    with_faults(monkeypatch, chance.fault)
    workflow_id = await a_workflow(api)
    async with wired(settings, application_name="tests") as wiring:
        await wiring.orchestrator.aclose()
        wiring.orchestrator = orchestrator
        worker = Worker(
            wiring=wiring,
            prefect=prefect,
            chance=chance,
            workflow_id=workflow_id,
            reconciler=Reconciler(wiring.sessions, orchestrator),
            dispatcher=Dispatcher(wiring.sessions, orchestrator, AdmissionLimits.of(settings.runs)),
            timekeeper=Timekeeper(wiring.sessions, orchestrator),
        )
        chance.on = True
        ids = {await accepted(api, workflow_id) for _ in range(RUNS)}
        await until_all_agree(worker, sessions, api.tenant_id)
        chance.on = False
    assert {"request", "answer"} <= set(chance.happened)
    found = await rows(
        sessions, "select id, status, outputs, error from executions where tenant_id = %s", api.tenant_id
    )
    assert {str(row["id"]) for row in found} == ids
    assert [row["outputs"] for row in found] == [EXPECTED] * RUNS, found
    wrong = {name: bad for name, never in NEVER.items() if (bad := await rows(sessions, never, api.tenant_id))}
    assert wrong == {}
    assert len(prefect.runs) == RUNS
    assert len(worker.executor.keys) <= RUNS * STEPS + await leavings(sessions, api.tenant_id) * AT_ONCE


async def until_all_agree(worker: Worker, sessions: Sessions, tenant_id: UUID) -> None:
    """Rounds, as many as it takes until all is over, here and in Prefect."""
    began, chance = clock.now() + SETTLING, worker.chance
    statuses: dict[str, str] = {}
    for number in range(ROUNDS):
        with clock.freeze(began + number * timedelta(seconds=ROUND_SECONDS)):
            await worker.round()
        chance.on = False
        found = await rows(sessions, "select id, status::text from executions where tenant_id = %s", tenant_id)
        statuses = {str(row["id"]): row["status"] for row in found}
        told = {run.flow_run.idempotency_key: run.state["type"] for run in worker.prefect.runs.values()}
        if set(told.values()) <= TERMINAL and all(
            told.get(key) in AGREES.get(each, ()) for key, each in statuses.items()
        ):
            return
        chance.on = True
    raise AssertionError((statuses, told))


async def leavings(sessions: Sessions, tenant_id: UUID) -> int:
    """How often a process left a run."""
    lost = "select count(*) from execution_events where tenant_id = %s and payload->>'status' = 'PAUSED'"
    return int((await rows(sessions, lost, tenant_id))[0]["count"])
