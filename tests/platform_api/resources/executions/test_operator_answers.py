"""What an operator answers in the Prefect UI counts like any other answer, and the audit log says how it came."""

from typing import Any

import httpx
import pytest

from platform_api.db.engine import Sessions
from platform_api.resources.executions.operator_answers import OperatorAnswers
from tests.factories.api import Api, owner
from tests.factories.waits import Waiting, a_waiting_run
from tests.fakes.orchestrator import FakeOrchestrator

FORM = {"type": "object", "properties": {"amount": {"type": "integer"}}, "required": ["amount"]}


@pytest.fixture
async def api(client: httpx.AsyncClient) -> Api:
    return await owner(client)


@pytest.fixture
async def run(api: Api, sessions: Sessions, orchestrator: FakeOrchestrator) -> Waiting:
    return await a_waiting_run(api, sessions, orchestrator)


async def taken(run: Waiting, path: str, given: dict[str, Any]) -> dict[str, Any] | None:
    """The wait's answer, after the operator gave one and the run has come back."""
    wait = (await run.waits())[path]
    run.orchestrator.answers[wait.id] = given
    answers = OperatorAnswers(sessions=run.sessions, orchestrator=run.orchestrator, tenant_id=run.tenant_id)
    await answers.take(run.execution_id, run.flow_run_id)
    assert wait.id not in run.orchestrator.answers
    return (await run.waits())[path].answer


async def test_an_approval_of_the_operator(api: Api, run: Waiting) -> None:
    await run.opens("ask", assignees=("EDITOR",))
    assert await taken(run, "ask", {"approved": True, "comment": ""}) == {"approved": True, "comment": None}
    answer = (await run.journal.answers(run.execution_id))["ask"]
    assert (answer.by, answer.via) == ("operator", "PREFECT")
    (entry,) = (await api.get("/audit-logs", action="execution.resume")).json()["data"]
    assert (entry["actor"], entry["userId"], entry["after"]["via"]) == ("system", None, "PREFECT (operator)")


@pytest.mark.parametrize(
    ("form", "given", "data"),
    [(FORM, {"amount": 3}, {"amount": 3}), ({"type": "integer"}, {"data": 3}, 3), (None, {"data": [1]}, [1])],
)
async def test_data_of_the_operator(run: Waiting, form: dict[str, Any] | None, given: Any, data: Any) -> None:
    await run.opens("ask", "input", form=form)
    assert await taken(run, "ask", given) == {"data": data}


async def test_data_that_does_not_fit_is_refused_with_a_word_in_the_log(api: Api, run: Waiting) -> None:
    await run.opens("ask", "input", form=FORM)
    assert await taken(run, "ask", {"amount": "many"}) is None
    lines = (await api.get(f"/executions/{run.execution_id}/logs")).json()["data"]
    assert any("ask does not count: amount" in line["message"] for line in lines)
    assert await taken(run, "ask", {"amount": 1}) == {"data": {"amount": 1}}


async def test_without_prefect_the_question_stays_open(run: Waiting) -> None:
    await run.opens("ask")
    run.orchestrator.available = False
    answers = OperatorAnswers(sessions=run.sessions, orchestrator=run.orchestrator, tenant_id=run.tenant_id)
    await answers.take(run.execution_id, run.flow_run_id)
    assert (await run.waits())["ask"].answered_at is None
