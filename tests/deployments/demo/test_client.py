"""The demo as a client of the contract, against answers in the contract's form."""

import json
from typing import Any

import httpx
import pytest
from rich.console import Console

from deployments.demo.client import PlatformClient
from deployments.demo.definition import STEPS
from deployments.demo.errors import DemoFailed
from deployments.demo.scenario import play
from deployments.demo.showing import StepProgress, failed_steps, show_report

URL = "http://api.test"
ROW = {
    "name": "Envoy Air [MQ]",
    "origin": "JFK",
    "sight": "fair",
    "flights": 1200,
    "mean_delay": 6.5,
    "share_late": 0.161,
}
REPORT = {"title": "Title", "rows": [ROW], "airports": [ROW], "visibility": [ROW], "findings": ["Hardly the weather."]}


class Platform:
    """Answers like the API; a run has ended at the third look."""

    def __init__(self, final: str = "COMPLETED") -> None:
        self.final = final
        self.requests: list[tuple[str, str, Any]] = []
        self.authorizations: set[str | None] = set()
        self.looks = 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/api/v1")
        body = json.loads(request.content) if request.content else None
        self.requests.append((request.method, path, body))
        if path != "/auth/register":
            self.authorizations.add(request.headers.get("Authorization"))
        return httpx.Response(200, json={"success": True, "data": self.answer(request.method, path)})

    def answer(self, method: str, path: str) -> Any:
        if path == "/auth/register":
            return {"tokens": {"accessToken": "abc"}}
        if path.endswith("/execute"):
            return {"executionId": "e1"}
        if path.endswith("/artifacts"):
            return [{"id": "a1", "name": "dataset.parquet"}, {"id": "a2", "name": "chart.png"}]
        if path.endswith("/steps"):
            error = {"code": "DATA_ERROR", "message": "no column", "hint": "there are: a, b"}
            failed = {"stepKey": "weather", "status": "FAILED", "durationMs": 5, "error": error}
            done = {"stepKey": "flights", "status": "COMPLETED", "durationMs": 12, "output": {"rows": 26483}}
            return [done] if self.final == "COMPLETED" else [done, failed]
        if path == "/executions/e1":
            self.looks += 1
            status = self.final if self.looks >= 3 else "RUNNING"
            error = None if status == "COMPLETED" else {"code": "STEP_FAILED", "message": "weather failed"}
            return {"id": "e1", "status": status, "outputs": REPORT, "error": error}
        return {"id": f"id{len(self.requests)}"}


def client(handler: Any) -> PlatformClient:
    return PlatformClient(URL, transport=httpx.MockTransport(handler))


async def test_the_scenario_uses_public_paths_and_one_users_token() -> None:
    platform = Platform()
    console = Console(record=True, width=120)
    async with client(platform) as session:
        run = await play(session, console)
    paths = [(method, path) for method, path, _ in platform.requests]
    assert paths[0] == ("POST", "/auth/register")
    assert paths.count(("POST", "/agents")) == len(STEPS)
    assert platform.authorizations == {"Bearer abc"}
    definition = next(body for method, path, body in platform.requests if path == "/workflows")
    assert {step["stepKey"] for step in definition["steps"]} == set(STEPS)
    assert all(step["agentId"].startswith("id") for step in definition["steps"])
    assert run.report == REPORT
    assert run.chart is not None
    assert ("GET", "/artifacts/a2") in paths
    assert "✓ Load flights (26,483 rows, 12 ms)" in console.export_text()


async def test_a_failed_run_shows_the_steps_error_and_hint() -> None:
    async with client(Platform("FAILED")) as session:
        with pytest.raises(DemoFailed, match="ended as FAILED: STEP_FAILED weather failed") as caught:
            await play(session, Console(quiet=True))
    assert caught.value.lines == ("step weather: DATA_ERROR no column (there are: a, b)",)


async def test_a_refused_call_says_every_problem() -> None:
    details = [{"path": "config.operations[1].by", "code": "MISSING_FIELD", "message": "say what to group by"}]
    error = {"code": "VALIDATION_ERROR", "message": "The agent is not valid", "details": details}

    def refuse(request: httpx.Request) -> httpx.Response:
        return httpx.Response(400, json={"success": False, "error": error})

    async with client(refuse) as session:
        with pytest.raises(DemoFailed, match="POST /agents answered 400 VALIDATION_ERROR") as caught:
            await session.create_agent({})
    assert caught.value.lines == ("config.operations[1].by: say what to group by",)


@pytest.mark.parametrize("body", [b"<html>", b"[]", b""])
async def test_an_answer_in_another_form_is_still_a_clear_failure(body: bytes) -> None:
    async with client(lambda request: httpx.Response(502, content=body)) as session:
        with pytest.raises(DemoFailed, match="answered 502"):
            await session.execution("e1")


async def test_no_answer_is_said_with_the_call() -> None:
    def unreachable(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    async with client(unreachable) as session:
        with pytest.raises(DemoFailed, match=r"GET /executions/e1: no answer \(ConnectError\)"):
            await session.execution("e1")


def test_each_state_of_a_step_is_shown_once() -> None:
    console = Console(record=True, width=100)
    progress = StepProgress(console, {"load": "Load"})
    pending = {"stepKey": "load", "status": "PENDING"}
    running = {"stepKey": "load", "status": "RUNNING"}
    done = {"stepKey": "load", "status": "COMPLETED", "durationMs": None, "output": [1]}
    for steps in ([pending], [running], [running], [done], [done]):
        progress.show(steps)
    assert console.export_text().split() == ["▸", "Load", "✓", "Load"]


def test_the_report_is_readable_and_markup_in_data_is_text() -> None:
    console = Console(record=True, width=100)
    show_report(console, REPORT)
    text = console.export_text()
    for words in ("Envoy Air [MQ]", "1,200", "6.5 min", "16.1%", "• Hardly the weather."):
        assert words in text


def test_only_failed_steps_are_listed() -> None:
    assert failed_steps([{"stepKey": "a", "status": "COMPLETED", "error": None}]) == ()
    assert failed_steps([{"stepKey": "a", "status": "TIMEOUT", "error": {"code": "TIMEOUT", "message": "5 s"}}]) == (
        "step a: TIMEOUT 5 s",
    )
