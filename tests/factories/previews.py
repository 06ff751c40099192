"""Runs with a DATA step that was computed as a part of the next one."""

from typing import Any
from uuid import UUID

from flows.runtime.ports import StepAttempt, StepOutcome
from flows.states import StepStatus
from platform_api.db.engine import Sessions
from platform_api.resources.executions.journal import Journal
from tests.factories.api import Api, step

LOAD = {"source": {"rows": [{"n": n} for n in range(3)]}, "operations": [{"op": "filter", "where": "n > 0"}]}
TOTAL = {"operations": [{"op": "reduce", "aggregations": {"s": "SUM(n)"}}]}
LAZY = {"fusedInto": "total", "schema": {"n": "Int64"}, "lazy": {"config": LOAD, "inputs": {}, "lazyInputs": []}}


async def a_fused_run(api: Api) -> dict[str, Any]:
    """An execution of `load` and `total`, in which `load` is fused into `total`. Nobody has run it."""
    load = await api.active_agent(type="DATA", config=LOAD)
    total = await api.active_agent(type="DATA", config=TOTAL)
    steps = [step("load", load), step("total", total, dependsOn=["load"], inputs={"load": "{{ load.output }}"})]
    workflow = await api.active_workflow(steps=steps)
    return {"loader": load, **await api.made(f"/workflows/{workflow['id']}/execute", {})}


async def ended(sessions: Sessions, api: Api, execution_id: str, key: str, agent_id: str | None, output: Any) -> None:
    """Writes how a step of a run ended, as a worker does."""
    journal, run = Journal(sessions, api.tenant_id), UUID(execution_id)
    attempt = StepAttempt(step_key=key, path=key, attempt=1, agent=agent_id)
    await journal.step_started(run, attempt, inputs={})
    await journal.step_finished(run, attempt, StepOutcome(status=StepStatus.COMPLETED, output=output))
