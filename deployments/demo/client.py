"""The public REST API as the demo uses it; nothing here knows more than the contract says."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Self

import httpx

from deployments.demo.errors import DemoFailed

BASE_PATH = "/api/v1"
POLL_SECONDS = 0.15
FINAL = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT"}
JsonObject = dict[str, Any]


class PlatformClient:
    """One user's session. Every call returns the `data` of the answer or raises `DemoFailed` with its error."""

    def __init__(self, api_url: str, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._http = httpx.AsyncClient(base_url=f"{api_url}{BASE_PATH}", timeout=30.0, transport=transport)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._http.aclose()

    async def register(self, email: str, password: str, full_name: str) -> None:
        """Makes a user with a tenant of their own and goes on as that user."""
        body = {"email": email, "password": password, "fullName": full_name, "tenantName": "New York flights"}
        session = await self._call("POST", "/auth/register", body)
        self._http.headers["Authorization"] = f"Bearer {session['tokens']['accessToken']}"

    async def create_agent(self, body: JsonObject) -> str:
        """A new agent that may be used; its id."""
        agent = await self._call("POST", "/agents", body)
        await self._call("PATCH", f"/agents/{agent['id']}", {"status": "ACTIVE"})
        return str(agent["id"])

    async def create_workflow(self, body: JsonObject) -> str:
        """A new workflow that may be run; its id."""
        workflow = await self._call("POST", "/workflows", {**body, "status": "ACTIVE"})
        return str(workflow["id"])

    async def execute(self, workflow_id: str) -> str:
        """Starts a run; its id."""
        started = await self._call("POST", f"/workflows/{workflow_id}/execute", {})
        return str(started["executionId"])

    async def execution(self, execution_id: str) -> JsonObject:
        """A run as it stands."""
        found: JsonObject = await self._call("GET", f"/executions/{execution_id}")
        return found

    async def steps(self, execution_id: str) -> list[JsonObject]:
        """The run's steps as they stand."""
        found: list[JsonObject] = await self._call("GET", f"/executions/{execution_id}/steps")
        return found

    async def chart(self, execution_id: str, name: str) -> bytes | None:
        """The file of that name among the run's artifacts, such as `chart.png`; None where no step has drawn one."""
        for artifact in await self._call("GET", f"/executions/{execution_id}/artifacts?pageSize=100"):
            if artifact["name"] == name:
                return (await self._answer("GET", f"/artifacts/{artifact['id']}")).content
        return None

    async def follow(self, execution_id: str) -> AsyncIterator[tuple[JsonObject, list[JsonObject]]]:
        """The run and its steps, again and again until the run has ended; the last pair is the final one."""
        while True:
            execution = await self.execution(execution_id)
            yield execution, await self.steps(execution_id)
            if execution["status"] in FINAL:
                return
            await asyncio.sleep(POLL_SECONDS)

    async def _call(self, method: str, path: str, body: JsonObject | None = None) -> Any:
        return _content(await self._answer(method, path, body)).get("data")

    async def _answer(self, method: str, path: str, body: JsonObject | None = None) -> httpx.Response:
        try:
            answer = await self._http.request(method, path, json=body)
        except httpx.HTTPError as error:
            raise DemoFailed(f"{method} {path}: no answer ({type(error).__name__})") from error
        if answer.is_success:
            return answer
        problem = _content(answer).get("error") or {}
        details = tuple(f"{each.get('path')}: {each.get('message')}" for each in problem.get("details") or ())
        says = f"{problem.get('code', '')}: {problem.get('message', '')}"
        message = f"{method} {path} answered {answer.status_code} {says}"
        raise DemoFailed(message, lines=details)


def _content(answer: httpx.Response) -> JsonObject:
    try:
        content = answer.json()
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
