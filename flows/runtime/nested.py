"""A step whose agent is a workflow: it waits for a run of its own, which has its own record."""

from typing import Any

from agents.errors import AgentError, AgentTimeout
from flows.runtime.ports import RunOutcome
from flows.runtime.record import Produced, unbroken
from flows.runtime.surroundings import StepAt
from flows.states import ExecutionStatus

MAX_DEPTH = 8


async def run_nested(at: StepAt, inputs: dict[str, Any]) -> Produced:
    """Drives the nested run to its end, or finds it again and goes on with it. Its failure fails the step."""
    around = at.around
    if around.run.depth >= MAX_DEPTH:
        raise AgentError(f"Workflows are nested deeper than {MAX_DEPTH} levels", code="NESTED_TOO_DEEP")
    plan = around.run.plan.children[at.step.agent or ""]
    run = await unbroken(around.ports.journal.child_opened(around.run.execution_id, at.attempt, plan, inputs))
    end = await at.stage.nested(run, at.path, lambda flow_run_id: around.drive_nested(run, at, flow_run_id))
    if end.outcome.status is not ExecutionStatus.COMPLETED:
        raise _failed(end.outcome, str(run.execution_id))
    return Produced(output=end.outputs)


def _failed(outcome: RunOutcome, execution_id: str) -> AgentError:
    """The nested run's own error, with where it is recorded."""
    error = outcome.error or {"code": "NESTED_RUN_FAILED", "message": f"The nested run ended as {outcome.status}"}
    details = {"executionId": execution_id} | ({"stepKey": error["stepKey"]} if "stepKey" in error else {})
    kind = AgentTimeout if outcome.status is ExecutionStatus.TIMEOUT else AgentError
    return kind(error["message"], code=error["code"], details=details)
