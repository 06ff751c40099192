"""Waits on record, and their answers over REST: by whom, with what, at most once, only while they are open."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from flows.runtime.ports import StepAttempt, StepOutcome, Wait
from flows.spec import WaitKind
from flows.states import StepStatus
from platform_api.access.principal import TenantRole
from platform_api.access.scope import tenant_scope
from platform_api.db.engine import Sessions
from platform_api.errors import IllegalMove
from platform_api.kit import clock
from platform_api.resources.executions.waits import PREFECT, REST, take_answer
from platform_api.settings import Settings
from tests.factories.api import Api, by_key, colleague, owner
from tests.factories.waits import Waiting, a_waiting_run
from tests.fakes.orchestrator import FakeOrchestrator

FORM = {
    "type": "object",
    "properties": {"amount": {"type": "integer"}, "currency": {"type": "string", "default": "EUR"}},
    "required": ["amount"],
}


@pytest.fixture
async def api(client: httpx.AsyncClient) -> Api:
    return await owner(client)


@pytest.fixture
async def run(api: Api, sessions: Sessions, orchestrator: FakeOrchestrator) -> Waiting:
    return await a_waiting_run(api, sessions, orchestrator)


async def resume(api: Api, run: Waiting, **body: Any) -> httpx.Response:
    return await api.post(f"/executions/{run.execution_id}/resume", body)


async def shown(api: Api, run: Waiting) -> list[dict[str, Any]]:
    answer = await api.get(f"/executions/{run.execution_id}")
    waits: list[dict[str, Any]] = answer.json()["data"]["waits"]
    return waits


async def test_a_question_is_on_record_in_the_stream_and_shown(api: Api, run: Waiting) -> None:
    due = clock.now() + timedelta(hours=1)
    await run.opens("each[1].ask", "input", message="How much?", form=FORM, due_at=due, assignees=("ADMIN",))
    await run.opens("pause", "duration", due_at=due)
    (event,) = await run.events("approval.requested")
    assert (event["path"], event["kind"], event["message"], event["schema"]) == (
        "each[1].ask",
        "input",
        "How much?",
        FORM,
    )
    assert event["dueAt"].endswith("Z")
    ask, pause = await shown(api, run)
    assert (ask["path"], ask["kind"], ask["message"], ask["schema"], ask["assignees"]) == (
        "each[1].ask",
        "input",
        "How much?",
        FORM,
        ["ADMIN"],
    )
    assert ask["dueAt"] == event["dueAt"]
    assert ask["requestedAt"] is not None
    assert (pause["path"], pause["kind"]) == ("pause", "duration")
    steps = (await api.get(f"/executions/{run.execution_id}/steps")).json()["data"]
    assert {each["status"] for each in steps} == {"PAUSED"}


async def test_a_wait_that_is_taken_up_again_is_the_same(run: Waiting) -> None:
    attempt = await run.opens("ask", message="first", due_at=clock.now() + timedelta(hours=1))
    later = Wait(kind=WaitKind.APPROVAL, opened_at=clock.now() + timedelta(minutes=5), message="second")
    again = await run.journal.wait_opened(run.execution_id, attempt, later)
    kept = (await run.waits())["ask"]
    assert (again.message, again.due_at, again.opened_at) == ("first", kept.due_at, kept.created_at)
    assert len(await run.events("approval.requested")) == 1


async def test_another_attempt_waits_anew(run: Waiting) -> None:
    first = await run.opens("ask", message="first")
    timed_out = StepOutcome(status=StepStatus.TIMEOUT, error={"code": "TIMEOUT", "message": "late"}, last=False)
    await run.journal.step_finished(run.execution_id, first, timed_out)
    assert (await run.waits())["ask"].closed_at is not None
    second = StepAttempt(step_key="ask", path="ask", attempt=2)
    wait = Wait(kind=WaitKind.APPROVAL, opened_at=clock.now(), message="second")
    await run.journal.wait_opened(run.execution_id, second, wait)
    kept = (await run.waits())["ask"]
    assert (kept.message, kept.closed_at, kept.step_run_id) == ("second", None, second.step_run_id)


async def test_nothing_begins_to_wait_in_a_run_that_is_not_running(run: Waiting) -> None:
    await run.opens("ask")
    await run.suspends()
    with pytest.raises(IllegalMove):
        await run.opens("late")
    assert set(await run.waits()) == {"ask"}


async def test_an_approval_is_answered_once_and_audited(api: Api, run: Waiting) -> None:
    await run.opens("ask")
    answered = await resume(api, run, path="ask", approved=True, comment="fine")
    assert answered.status_code == 200, answered.text
    data = answered.json()["data"]
    assert (data["executionId"], data["path"], data["kind"]) == (str(run.execution_id), "ask", "approval")
    answers = await run.journal.answers(run.execution_id)
    assert answers["ask"].data == {"approved": True, "comment": "fine"}
    assert (answers["ask"].by, answers["ask"].via) == (str(api.user_id), REST)
    assert await shown(api, run) == []
    second = await resume(api, run, path="ask", approved=False)
    assert (second.status_code, second.json()["error"]["code"]) == (409, "INVALID_STATE")
    log = await api.get("/audit-logs", action="execution.resume")
    (entry,) = log.json()["data"]
    assert entry["after"] == {"path": "ask", "kind": "approval", "via": "REST", "comment": "fine", "approved": True}


async def test_of_two_answers_at_once_one_counts(api: Api, run: Waiting) -> None:
    await run.opens("ask")
    answers = await asyncio.gather(*(resume(api, run, path="ask", approved=number == 0) for number in range(5)))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409, 409]


async def test_an_answered_wait_resumes_its_run_after_the_commit(api: Api, run: Waiting) -> None:
    await run.opens("ask")
    await resume(api, run, path="ask", approved=True)
    assert run.orchestrator.resumed == []
    second = await a_waiting_run(api, run.sessions, run.orchestrator)
    await second.opens("ask")
    await second.suspends()
    await resume(api, second, path="ask", approved=True)
    assert run.orchestrator.resumed == [second.flow_run_id]


async def test_prefect_away_is_no_reason_to_refuse_an_answer(api: Api, run: Waiting) -> None:
    await run.opens("ask")
    await run.suspends()
    run.orchestrator.available = False
    assert (await resume(api, run, path="ask", approved=True)).status_code == 200


async def test_data_must_fit_the_form(api: Api, run: Waiting) -> None:
    await run.opens("ask", "input", form=FORM)
    refused = await resume(api, run, path="ask", data={"amount": "many"})
    assert refused.status_code == 400
    assert [each["path"] for each in refused.json()["error"]["details"]] == ["data.amount"]
    assert len(await shown(api, run)) == 1
    assert (await resume(api, run, path="ask", data={"amount": 3})).status_code == 200
    assert (await run.journal.answers(run.execution_id))["ask"].data == {"data": {"amount": 3, "currency": "EUR"}}


@pytest.mark.parametrize("said", ["yes", "true", 1, "no"])
async def test_a_word_is_no_approval(api: Api, run: Waiting, said: Any) -> None:
    await run.opens("ask")
    answer = await resume(api, run, path="ask", approved=said)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "VALIDATION_ERROR")
    assert len(await shown(api, run)) == 1


@pytest.mark.parametrize(
    ("kind", "body", "paths"),
    [
        ("approval", {}, ["approved"]),
        ("approval", {"approved": None}, ["approved"]),
        ("approval", {"approved": True, "data": 1}, ["data"]),
        ("input", {"approved": True}, ["data", "approved"]),
        ("input", {"comment": "hm"}, ["data"]),
    ],
)
async def test_an_answer_is_of_the_kind_that_is_asked_for(
    api: Api, run: Waiting, kind: str, body: dict[str, Any], paths: list[str]
) -> None:
    await run.opens("ask", kind)
    refused = await resume(api, run, path="ask", **body)
    assert refused.status_code == 400
    assert [each["path"] for each in refused.json()["error"]["details"]] == paths


async def test_a_form_without_a_schema_takes_null(api: Api, run: Waiting) -> None:
    await run.opens("ask", "input")
    assert (await resume(api, run, path="ask", data=None)).status_code == 200


async def test_a_bare_key_is_enough_where_one_question_has_it(api: Api, run: Waiting) -> None:
    await run.opens("each[0].ask")
    await run.opens("each[1].ask")
    several = await resume(api, run, path="ask", approved=True)
    assert (several.status_code, several.json()["error"]["details"][0]["code"]) == (400, "AMBIGUOUS_PATH")
    assert (await resume(api, run, path="each[0].ask", approved=True)).status_code == 200
    assert (await resume(api, run, path="ask", approved=True)).json()["data"]["path"] == "each[1].ask"


async def test_only_an_open_question_takes_an_answer(api: Api, run: Waiting) -> None:
    await run.opens("pause", "duration", due_at=clock.now() + timedelta(hours=1))
    await run.opens("late", due_at=clock.now() - timedelta(seconds=1))
    ended = await run.opens("ended")
    await run.journal.step_finished(run.execution_id, ended, StepOutcome(status=StepStatus.COMPLETED))
    for path in ("pause", "late", "ended", "nowhere"):
        refused = await resume(api, run, path=path, approved=True)
        assert (refused.status_code, refused.json()["error"]["code"]) == (409, "INVALID_STATE"), path
    await run.opens("open")
    await run.journal.abandoned(run.execution_id, code="CANCELLED", message="no more")
    assert (await resume(api, run, path="open", approved=True)).status_code == 409
    assert await shown(api, run) == []


async def test_those_answer_who_are_named(api: Api, run: Waiting, sessions: Sessions, settings: Settings) -> None:
    workflow_id = UUID((await api.get(f"/executions/{run.execution_id}")).json()["data"]["workflowId"])
    assert (await api.patch(f"/workflows/{workflow_id}", {"isPublic": True})).status_code == 200
    editor = await colleague(api, sessions, settings, TenantRole.EDITOR)
    viewer = await colleague(api, sessions, settings, TenantRole.VIEWER)
    await run.opens("editors", assignees=("EDITOR",))
    await run.opens("viewer", assignees=(str(viewer.user_id),))
    await run.opens("anybody")
    assert (await resume(api, run, path="editors", approved=True)).status_code == 403
    assert (await resume(viewer, run, path="editors", approved=True)).status_code == 403
    assert (await resume(editor, run, path="viewer", approved=True)).status_code == 403
    assert (await resume(viewer, run, path="anybody", approved=True)).status_code == 403
    assert (await resume(editor, run, path="editors", approved=True)).status_code == 200
    assert (await resume(viewer, run, path="viewer", approved=True)).status_code == 200
    assert (await resume(editor, run, path="anybody", approved=True)).status_code == 200


async def test_who_does_not_see_the_execution_answers_nothing(
    api: Api, run: Waiting, sessions: Sessions, settings: Settings, client: httpx.AsyncClient
) -> None:
    await run.opens("ask", assignees=("EDITOR",))
    editor = await colleague(api, sessions, settings, TenantRole.EDITOR)
    assert (await resume(editor, run, path="ask", approved=True)).status_code == 403
    assert (await resume(await owner(client), run, path="ask", approved=True)).status_code == 404
    narrow = await by_key(api, sessions, "executions:read")
    assert (await resume(narrow, run, path="ask", approved=True)).status_code == 403


async def test_an_answer_needs_no_lock_of_its_run(run: Waiting) -> None:
    await run.opens("ask")
    wait = (await run.waits())["ask"]
    async with tenant_scope(run.sessions, run.tenant_id) as scope:
        assert await take_answer(scope.session, wait.id, {"approved": True}, by=None, via=PREFECT)
        assert not await take_answer(scope.session, wait.id, {"approved": False}, by=None, via=REST)
        assert not await take_answer(scope.session, uuid4(), {"approved": True}, by=None, via=REST)
    assert (await run.journal.answers(run.execution_id))["ask"].by == "operator"


async def test_the_oldest_open_question_is_the_one_to_ask(run: Waiting) -> None:
    await run.opens("pause", "duration", due_at=clock.now() + timedelta(hours=1))
    await run.opens("late", due_at=clock.now() - timedelta(seconds=1))
    assert await run.journal.question(run.execution_id) is None
    await run.opens("first", "input", message="Which?", form=FORM)
    await run.opens("second")
    question = await run.journal.question(run.execution_id)
    assert question is not None
    assert (question.path, question.kind, question.message, question.form) == ("first", "input", "Which?", FORM)
