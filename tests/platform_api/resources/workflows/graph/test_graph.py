"""`GET /workflows/{id}/graph` by HTTP."""

from typing import Any
from uuid import UUID, uuid4
from xml.etree import ElementTree

import httpx
import pytest

from flows.runtime.ports import RunOutcome, StepAttempt, StepOutcome
from flows.states import ExecutionStatus, StepStatus
from platform_api.access.principal import TenantRole
from platform_api.db.engine import Sessions
from platform_api.resources.executions.journal import Journal
from platform_api.settings import Settings
from tests.factories.api import Api, colleague, owner, step
from tests.fixtures.http import error_of

HOSTILE = 'a"] --> b</title><script>alert(1)</script>{{x}}\n%%{init}%%`<b>#quot;&\u202e\u200b'
"""What would be syntax in Mermaid, markup in SVG, or text that turns around."""


@pytest.fixture
async def api(client: httpx.AsyncClient) -> Api:
    return await owner(client)


async def diamond(api: Api, **fields: Any) -> dict[str, Any]:
    agent = await api.active_agent()
    steps = [
        step("load", agent, name="Load"),
        step("left", agent, dependsOn=["load"]),
        step("right", agent, dependsOn=["load"]),
        step("join", agent, dependsOn=["left", "right", "load"]),
    ]
    return await api.active_workflow(steps=steps, **fields)


class TestJson:
    async def test_nodes_and_edges(self, api: Api) -> None:
        workflow = await diamond(api)
        graph = (await api.get(f"/workflows/{workflow['id']}/graph")).json()["data"]
        assert [(node["id"], node["name"], node["type"]) for node in graph["nodes"]] == [
            ("load", "Load", "AGENT"),
            ("left", "left", "AGENT"),
            ("right", "right", "AGENT"),
            ("join", "join", "AGENT"),
        ]
        assert {node["status"] for node in graph["nodes"]} == {None}
        edges = {(edge["source"], edge["target"]) for edge in graph["edges"]}
        assert edges == {("load", "left"), ("load", "right"), ("left", "join"), ("right", "join"), ("load", "join")}
        assert {edge["kind"] for edge in graph["edges"]} == {"dependency"}
        x = {node["id"]: node["position"]["x"] for node in graph["nodes"]}
        assert x["load"] < x["left"] == x["right"] < x["join"]

    async def test_an_execution_shows_the_version_that_it_ran(self, api: Api, sessions: Sessions) -> None:
        workflow = await diamond(api)
        path = f"/workflows/{workflow['id']}"
        started = await api.made(f"{path}/execute", {})
        await api.patch(path, {"steps": [step("other", await api.active_agent())]})
        key, journal = UUID(started["executionId"]), Journal(sessions, api.tenant_id)
        await journal.run_started(key, prefect_flow_run_id=uuid4(), run_count=1)
        for number, status in ((1, StepStatus.FAILED), (2, StepStatus.COMPLETED)):
            attempt = StepAttempt(step_key="load", path="load", attempt=number)
            await journal.step_started(key, attempt, inputs={})
            error = {"code": "X", "message": "x"} if status is StepStatus.FAILED else None
            await journal.step_finished(key, attempt, StepOutcome(status=status, error=error))
        await journal.step_started(key, StepAttempt(step_key="left", path="left", attempt=1), inputs={})

        async def statuses() -> dict[str, str]:
            graph = (await api.get(f"{path}/graph", executionId=str(key))).json()["data"]
            return {node["id"]: node["status"] for node in graph["nodes"]}

        assert await statuses() == {"load": "COMPLETED", "left": "RUNNING", "right": "PENDING", "join": "PENDING"}
        attempt = StepAttempt(step_key="right", path="right", attempt=1)
        await journal.steps_skipped(key, [attempt], reason="stopped")
        await journal.abandoned(key, code="WORKER_LOST", message="gone")
        assert await statuses() == {"load": "COMPLETED", "left": "FAILED", "right": "SKIPPED", "join": "SKIPPED"}


class TestPictures:
    @pytest.mark.case(22)
    async def test_names_are_no_markup(self, api: Api) -> None:
        workflow = await api.active_workflow(name=HOSTILE, steps=[step("only", await api.active_agent(), name=HOSTILE)])
        path = f"/workflows/{workflow['id']}/graph"
        mermaid = await api.get(path, format="mermaid")
        assert mermaid.headers["content-type"] == "text/plain; charset=utf-8"
        assert mermaid.headers["x-content-type-options"] == "nosniff"
        (head, node) = mermaid.text.splitlines()
        assert head == "flowchart LR"
        assert (node[:6], node[-2:]) == ('  n0["', '"]')
        assert not set('"<>[]{}`%&') & set(node[6:-2])

        svg = await api.get(path, format="svg")
        assert svg.headers["content-type"] == "image/svg+xml"
        assert "default-src 'none'" in svg.headers["content-security-policy"]
        tags = {element.tag.rpartition("}")[2] for element in ElementTree.fromstring(svg.text).iter()}
        assert tags <= {"svg", "title", "defs", "marker", "path", "rect", "g", "text"}
        assert not {"\u202e", "\u200b"} & set(svg.text)

    async def test_mermaid_tells_edges_and_statuses(self, api: Api) -> None:
        workflow = await diamond(api)
        started = await api.made(f"/workflows/{workflow['id']}/execute", {})
        text = (
            await api.get(f"/workflows/{workflow['id']}/graph", format="mermaid", executionId=started["executionId"])
        ).text
        assert {"  n0 --> n1", "  n0 --> n2", "  n1 --> n3", "  n2 --> n3"} <= set(text.splitlines())
        assert "  class n0,n1,n2,n3 pending" in text.splitlines()

    async def test_svg_shows_every_step_once(self, api: Api) -> None:
        workflow = await diamond(api)
        root = ElementTree.fromstring((await api.get(f"/workflows/{workflow['id']}/graph", format="svg")).text)
        texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
        assert [text for text in texts if text != "AGENT"] == ["Load", "left", "right", "join"]


class TestContainersAndConditions:
    async def shown(self, api: Api) -> dict[str, Any]:
        agent = await api.active_agent()
        inner = [
            step("one", agent),
            {"stepKey": "two", "type": "LOOP", "config": {"items": "item", "steps": [step("x", agent)]}},
        ]
        cases = [{"when": "inputs.a", "then": ["each"]}, {"when": "inputs.b", "then": ["each", "ask"]}]
        steps = [
            {
                "stepKey": "fork",
                "type": "CONDITION",
                "config": {"expression": "true", "then": ["pick"], "else": ["last"]},
            },
            {"stepKey": "pick", "type": "CONDITION", "config": {"cases": cases, "default": ["last"]}},
            {"stepKey": "each", "type": "LOOP", "fallback": "last", "config": {"items": "inputs.rows", "steps": inner}},
            {"stepKey": "ask", "type": "WAIT", "config": {"kind": "approval"}},
            step("last", agent, dependsOn=["fork"]),
        ]
        return await api.active_workflow(steps=steps)

    async def test_json_counts_what_is_inside_and_labels_the_edges(self, api: Api) -> None:
        workflow = await self.shown(api)
        graph = (await api.get(f"/workflows/{workflow['id']}/graph")).json()["data"]
        nested = {node["id"]: node["nested"] for node in graph["nodes"]}
        assert nested == {"fork": 0, "pick": 0, "each": 3, "ask": 0, "last": 0}
        edges = {(each["source"], each["target"]): (each["kind"], each["label"]) for each in graph["edges"]}
        assert edges == {
            ("fork", "pick"): ("then", "then"),
            ("fork", "last"): ("else", "else"),
            ("pick", "each"): ("case", "case 0, case 1"),
            ("pick", "ask"): ("case", "case 1"),
            ("pick", "last"): ("default", "default"),
            ("each", "last"): ("fallback", "fallback"),
        }

    async def test_pictures_show_them_too(self, api: Api) -> None:
        path = f"/workflows/{(await self.shown(api))['id']}/graph"
        lines = (await api.get(path, format="mermaid")).text.splitlines()
        assert lines[1:6] == [
            '  n0{"fork"}',
            '  n1{"pick"}',
            '  n2[["each (3 steps)"]]',
            '  n3(["ask"])',
            '  n4["last"]',
        ]
        assert {"  n0 -->|then| n1", "  n1 -->|case 0, case 1| n2", "  n2 -->|fallback| n4"} <= set(lines)
        root = ElementTree.fromstring((await api.get(path, format="svg")).text)
        texts = {element.text for element in root.iter("{http://www.w3.org/2000/svg}text")}
        assert {"LOOP · 3 steps", "CONDITION", "WAIT", "then", "case 0, case 1", "fallback"} <= texts

    async def test_statuses_are_those_of_the_containers_not_of_what_is_inside(
        self, api: Api, sessions: Sessions
    ) -> None:
        agent = await api.active_agent()
        inner = {"stepKey": "each", "type": "LOOP", "config": {"items": [1], "steps": [step("last", agent)]}}
        workflow = await api.active_workflow(steps=[inner, step("last", agent, dependsOn=["each"])])
        started = await api.made(f"/workflows/{workflow['id']}/execute", {})
        key, journal = UUID(started["executionId"]), Journal(sessions, api.tenant_id)
        await journal.run_started(key, prefect_flow_run_id=uuid4(), run_count=1)
        for step_key, path in (("each", "each"), ("last", "each[0].last")):
            await journal.step_started(key, StepAttempt(step_key=step_key, path=path, attempt=1), inputs={})
        graph = (await api.get(f"/workflows/{workflow['id']}/graph", executionId=str(key))).json()["data"]
        assert {node["id"]: node["status"] for node in graph["nodes"]} == {"each": "RUNNING", "last": "PENDING"}


class TestRefusals:
    async def test_each(self, api: Api, client: httpx.AsyncClient, sessions: Sessions, settings: Settings) -> None:
        workflow, other = await diamond(api), await diamond(api)
        path = f"/workflows/{workflow['id']}/graph"
        foreign = await api.made(f"/workflows/{other['id']}/execute", {})
        editor = await colleague(api, sessions, settings, TenantRole.EDITOR)
        assert error_of(await api.get(path, format="png"), 400, "VALIDATION_ERROR")
        assert error_of(await api.get(path, depth=3), 400, "VALIDATION_ERROR")
        assert error_of(await api.get(path, executionId=foreign["executionId"]), 404, "NOT_FOUND")
        assert error_of(await api.get(path, executionId=str(uuid4())), 404, "NOT_FOUND")
        assert error_of(await editor.get(path), 403, "FORBIDDEN")
        assert error_of(await (await owner(client)).get(path), 404, "NOT_FOUND")


async def test_history_takes_its_filters(api: Api, sessions: Sessions) -> None:
    """`status`, `triggerType`, `from`, `to` of a workflow's executions."""
    workflow = await diamond(api)
    path = f"/workflows/{workflow['id']}"
    first, second = [(await api.made(f"{path}/execute", {}))["executionId"] for _ in range(2)]
    journal = Journal(sessions, api.tenant_id)
    await journal.run_started(UUID(first), prefect_flow_run_id=uuid4(), run_count=1)
    await journal.run_finished(UUID(first), RunOutcome(status=ExecutionStatus.COMPLETED))
    made = {row["id"]: row["createdAt"] for row in (await api.get(f"{path}/executions")).json()["data"]}

    async def found(**filters: str) -> list[str]:
        answer = await api.get(f"{path}/executions", **filters)
        assert answer.status_code == 200, answer.text
        return [row["id"] for row in answer.json()["data"]]

    assert await found() == [second, first]
    assert await found(status="COMPLETED") == [first]
    assert await found(triggerType="MANUAL") == [second, first]
    assert await found(triggerType="WEBHOOK,EVENT") == []
    assert await found(to=made[first]) == []
    assert first in await found(**{"from": made[first]})
    for bad in ({"status": "DONE"}, {"from": "yesterday"}, {"since": made[first]}, {"sortBy": "plan"}):
        error_of(await api.get(f"{path}/executions", **bad), 400, "VALIDATION_ERROR")
