"""`/executions` by HTTP: what the journal wrote, as clients see it."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from agents.result import Usage
from flows.runtime.ports import LogLine, RunOutcome, StepAttempt, StepOutcome
from flows.states import ExecutionStatus, StepStatus
from platform_api.access.principal import TenantRole
from platform_api.db.engine import Sessions
from platform_api.kit import clock
from platform_api.kit.ids import new_id
from platform_api.resources.executions.journal import Journal
from platform_api.settings import Settings
from tests.factories.api import Api, colleague, owner, step
from tests.fixtures.http import error_of


@pytest.fixture
async def api(client: httpx.AsyncClient) -> Api:
    return await owner(client)


async def run(api: Api, sessions: Sessions, workflow: dict[str, Any]) -> str:
    """An execution that has come to its end: `load` in two attempts, `report` skipped."""
    started = await api.made(f"/workflows/{workflow['id']}/execute", {"inputs": {"path": "a.csv"}})
    key, journal = UUID(started["executionId"]), Journal(sessions, api.tenant_id)
    failed, done, skipped = (
        StepAttempt(step_run_id=new_id(), step_key=name, path=name, attempt=number)
        for name, number in (("load", 1), ("load", 2), ("report", 1))
    )
    await journal.run_started(key, prefect_flow_run_id=uuid4(), run_count=1)
    await journal.step_started(key, failed, inputs={"path": "a.csv"})
    error = {"code": "TIMEOUT", "message": "took too long"}
    await journal.step_finished(key, failed, StepOutcome(status=StepStatus.TIMEOUT, error=error, last=False))
    await journal.step_started(key, done, inputs={"path": "a.csv"})
    usage = Usage(prompt_tokens=60, completion_tokens=15, cost=Decimal("0.3"))
    outcome = StepOutcome(status=StepStatus.COMPLETED, output_ref="sha256:abc", preview=[{"a": 1}], usage=usage)
    await journal.step_finished(key, done, outcome)
    await journal.steps_skipped(key, [skipped], reason="nothing to report")
    lines = [
        LogLine(level="DEBUG", message="opening"),
        LogLine(level="INFO", message="read", step_key="load", step_run_id=done.step_run_id, metadata={"rows": 3}),
        LogLine(level="ERROR", message="gone", step_key="report"),
    ]
    await journal.logged(key, lines)
    await journal.run_finished(key, RunOutcome(status=ExecutionStatus.COMPLETED, outputs={"rows": 3}))
    return str(key)


async def two_steps(api: Api, **fields: Any) -> dict[str, Any]:
    agent = await api.active_agent()
    steps = [step("load", agent), step("report", agent, dependsOn=["load"])]
    return await api.active_workflow(steps=steps, **fields)


class TestOne:
    async def test_tells_what_ran_and_what_it_took(self, api: Api, sessions: Sessions) -> None:
        workflow = await two_steps(api, name="Live", limits={"maxTokens": 50, "maxCost": 0.5})
        key = await run(api, sessions, workflow)
        answer = await api.get(f"/executions/{key}")
        found = answer.json()["data"]
        assert answer.status_code == 200
        assert found["workflow"] == {"id": workflow["id"], "name": "Live", "slug": "live"}
        assert (found["status"], found["inputs"], found["outputs"]) == ("COMPLETED", {"path": "a.csv"}, {"rows": 3})
        assert [found[f"steps{name}"] for name in ("Total", "Completed", "Failed", "Skipped")] == [2, 1, 0, 1]
        assert found["usage"] == {
            "promptTokens": 60,
            "completionTokens": 15,
            "totalCost": 0.3,
            "percentOfTokenLimit": 150.0,
            "percentOfCostLimit": 60.0,
            "exceeded": "tokens",
        }
        assert found["queueMs"] >= 0
        assert found["durationMs"] >= 0
        assert found["prefectUrl"].endswith(f"/runs/flow-run/{found['prefectFlowRunId']}")
        assert "plan" not in found

    async def test_before_its_start_there_is_nothing_to_measure(self, api: Api) -> None:
        workflow = await two_steps(api)
        started = await api.made(f"/workflows/{workflow['id']}/execute", {})
        found = (await api.get(f"/executions/{started['executionId']}")).json()["data"]
        assert (found["queueMs"], found["durationMs"], found["startedAt"], found["outputs"]) == (None,) * 4
        assert found["usage"]["percentOfTokenLimit"] is None
        assert (await api.get(f"/executions/{started['executionId']}/steps")).json()["data"] == []

    async def test_its_steps_come_in_order_with_each_attempt(self, api: Api, sessions: Sessions) -> None:
        key = await run(api, sessions, await two_steps(api))
        answer = await api.get(f"/executions/{key}/steps")
        first, second, third = answer.json()["data"]
        assert [(each["path"], each["attempt"], each["status"]) for each in (first, second, third)] == [
            ("load", 1, "TIMEOUT"),
            ("load", 2, "COMPLETED"),
            ("report", 1, "SKIPPED"),
        ]
        assert first["error"]["code"] == "TIMEOUT"
        assert first["input"] == {"path": "a.csv"}
        assert (second["output"], second["outputRef"], second["preview"]) == (None, "sha256:abc", [{"a": 1}])
        assert second["usage"] == {"promptTokens": 60, "completionTokens": 15, "totalCost": 0.3, "sandbox": None}
        assert third["startedAt"] is None
        page = await api.get(f"/executions/{key}/steps", page=3, pageSize=1)
        assert [each["path"] for each in page.json()["data"]] == ["report"]
        assert page.json()["meta"]["pagination"]["totalItems"] == 3


class TestLogs:
    async def messages(self, api: Api, key: str, **params: Any) -> list[str]:
        answer = await api.get(f"/executions/{key}/logs", **params)
        assert answer.status_code == 200, answer.text
        return [line["message"] for line in answer.json()["data"]]

    async def test_filters_and_keeps_the_order(self, api: Api, sessions: Sessions) -> None:
        key = await run(api, sessions, await two_steps(api))
        assert await self.messages(api, key) == ["opening", "read", "gone"]
        assert await self.messages(api, key, level="INFO") == ["read", "gone"]
        assert await self.messages(api, key, level="FATAL") == []
        assert await self.messages(api, key, stepKey="load") == ["read"]
        assert await self.messages(api, key, stepKey="elsewhere") == []
        assert await self.messages(api, key, page=2, pageSize=2) == ["gone"]
        later = (clock.now() + timedelta(minutes=1)).isoformat()
        assert await self.messages(api, key, since=later) == []
        assert len(await self.messages(api, key, since="2020-01-01T00:00:00Z")) == 3

    async def test_a_line_tells_all_of_itself(self, api: Api, sessions: Sessions) -> None:
        key = await run(api, sessions, await two_steps(api))
        lines = (await api.get(f"/executions/{key}/logs")).json()["data"]
        assert [line["seq"] for line in lines] == sorted(line["seq"] for line in lines)
        assert (lines[1]["level"], lines[1]["stepKey"], lines[1]["metadata"]) == ("INFO", "load", {"rows": 3})
        assert lines[1]["stepRunId"] is not None
        assert lines[1]["timestamp"].endswith("Z")

    @pytest.mark.parametrize(
        "query", [{"level": "LOUD"}, {"since": "yesterday"}, {"step": "load"}, {"stepKey": "\x00"}]
    )
    async def test_refuses_what_it_does_not_know(self, api: Api, sessions: Sessions, query: dict[str, str]) -> None:
        started = await api.made(f"/workflows/{(await two_steps(api))['id']}/execute", {})
        path = f"/executions/{started['executionId']}/logs"
        refused = error_of(await api.get(path, **query), 400, "VALIDATION_ERROR")
        assert [each["path"] for each in refused["details"]] == list(query)


class TestLists:
    async def ids(self, api: Api, path: str = "/executions", **params: Any) -> list[str]:
        answer = await api.get(path, **params)
        assert answer.status_code == 200, answer.text
        return [row["id"] for row in answer.json()["data"]]

    async def test_filter_and_sort(self, api: Api, sessions: Sessions) -> None:
        one, two = await two_steps(api), await two_steps(api)
        done = await run(api, sessions, one)
        waiting = (await api.made(f"/workflows/{two['id']}/execute", {}))["executionId"]
        assert await self.ids(api) == [waiting, done]
        assert await self.ids(api, sortBy="createdAt", sortOrder="asc") == [done, waiting]
        assert await self.ids(api, status="COMPLETED") == [done]
        assert await self.ids(api, status="FAILED,PENDING") == [waiting]
        assert await self.ids(api, workflowId=one["id"]) == [done]
        assert await self.ids(api, triggerType="SCHEDULED") == []
        assert await self.ids(api, f"/workflows/{two['id']}/executions") == [waiting]
        assert await self.ids(api, f"/workflows/{two['id']}/executions", status="COMPLETED") == []
        born = (await api.get(f"/executions/{waiting}")).json()["data"]["createdAt"]
        before, after = "2020-01-01T00:00:00Z", (clock.now() + timedelta(minutes=1)).isoformat()
        assert await self.ids(api, **{"from": before, "to": after}) == [waiting, done]
        assert await self.ids(api, to=before) == []
        assert await self.ids(api, **{"from": after}) == []
        assert born.endswith("Z")

    async def test_rows_leave_out_what_is_large(self, api: Api, sessions: Sessions) -> None:
        await run(api, sessions, await two_steps(api, name="Live"))
        (row,) = (await api.get("/executions")).json()["data"]
        assert row["workflow"]["name"] == "Live"
        assert not {"inputs", "outputs", "plan"} & set(row)

    @pytest.mark.parametrize(
        "query",
        [{"status": "DONE"}, {"triggerType": "x"}, {"workflowId": "1"}, {"from": "x"}, {"sortBy": "plan"}, {"x": "1"}],
    )
    async def test_refuse_what_they_do_not_know(self, api: Api, query: dict[str, str]) -> None:
        refused = error_of(await api.get("/executions", **query), 400, "VALIDATION_ERROR")
        assert [each["path"].removesuffix("[0]") for each in refused["details"]] == list(query)

    async def test_take_as_many_queries_for_ten_rows_as_for_one(self, api: Api) -> None:
        workflow = await two_steps(api)
        await api.made(f"/workflows/{workflow['id']}/execute", {})
        with counted() as for_one:
            assert len(await self.ids(api)) == 1
        for _ in range(9):
            await api.made(f"/workflows/{workflow['id']}/execute", {})
        with counted() as for_ten:
            assert len(await self.ids(api)) == 10
        assert len(for_ten) == len(for_one) > 0


class TestVisibility:
    async def test_follows_the_workflow(
        self, api: Api, client: httpx.AsyncClient, sessions: Sessions, settings: Settings
    ) -> None:
        editor = await colleague(api, sessions, settings, TenantRole.EDITOR)
        viewer = await colleague(api, sessions, settings, TenantRole.VIEWER)
        stranger = await owner(client)
        private, public = await two_steps(api), await two_steps(api, isPublic=True)
        hidden = (await api.made(f"/workflows/{private['id']}/execute", {}))["executionId"]
        shown = (await api.made(f"/workflows/{public['id']}/execute", {}))["executionId"]
        for member in (editor, viewer):
            assert [row["id"] for row in (await member.get("/executions")).json()["data"]] == [shown]
            assert (await member.get(f"/executions/{shown}")).status_code == 200
            for path in ("", "/steps", "/logs"):
                error_of(await member.get(f"/executions/{hidden}{path}"), 403, "FORBIDDEN")
            error_of(await member.get(f"/workflows/{private['id']}/executions"), 403, "FORBIDDEN")
        assert (await stranger.get("/executions")).json()["data"] == []
        for path in ("", "/steps", "/logs"):
            error_of(await stranger.get(f"/executions/{shown}{path}"), 404, "NOT_FOUND")
        error_of(await stranger.get(f"/workflows/{public['id']}/executions"), 404, "NOT_FOUND")

    async def test_outlives_its_workflow(self, api: Api, sessions: Sessions) -> None:
        workflow = await two_steps(api)
        key = await run(api, sessions, workflow)
        await api.send("DELETE", f"/workflows/{workflow['id']}")
        assert (await api.get(f"/executions/{key}")).status_code == 200
        error_of(await api.get(f"/workflows/{workflow['id']}/executions"), 404, "NOT_FOUND")


@contextmanager
def counted() -> Iterator[list[str]]:
    """The statements that any engine executes inside the block."""
    statements: list[str] = []

    def remember(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        statements.append(statement)

    event.listen(Engine, "before_cursor_execute", remember)
    try:
        yield statements
    finally:
        event.remove(Engine, "before_cursor_execute", remember)
