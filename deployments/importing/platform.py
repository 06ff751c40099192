"""The platform as an import needs it: one workflow made, perhaps run."""

import time
from collections.abc import Callable
from typing import Any

import httpx

from deployments.importing.errors import ImportFailed

_FINAL = frozenset({"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT"})
_POLL_SECONDS = 0.25
_SHOWN = 10


class Platform:
    """Speaks to `<api_url>/api/v1` with an API key. Every call returns `data` or raises `ImportFailed`."""

    def __init__(self, api_url: str, api_key: str, *, transport: httpx.BaseTransport | None = None) -> None:
        self._api_url = api_url
        self._http = httpx.Client(
            base_url=f"{api_url.rstrip('/')}/api/v1", headers={"X-API-Key": api_key}, timeout=60.0, transport=transport
        )

    def __enter__(self) -> "Platform":
        return self

    def __exit__(self, *error: object) -> None:
        self._http.close()

    def create(self, workflow: dict[str, Any]) -> dict[str, Any]:
        """Makes an ACTIVE workflow of the body."""
        made: dict[str, Any] = self._call("POST", "/workflows", {**workflow, "status": "ACTIVE"})
        return made

    def run(self, workflow_id: str, told: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
        """Runs it and waits for its end; `told` hears of the execution each time that it is looked at."""
        execution_id = self._call("POST", f"/workflows/{workflow_id}/execute", {})["executionId"]
        while True:
            execution: dict[str, Any] = self._call("GET", f"/executions/{execution_id}")
            told(execution)
            if execution["status"] in _FINAL:
                return execution
            time.sleep(_POLL_SECONDS)

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        try:
            answer = self._http.request(method, path, json=body)
            content = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            message = f"No platform answers at {self._api_url}: {type(error).__name__}"
            raise ImportFailed(message, hint="start one with `turbocat up`, or name it with --api-url") from error
        if answer.is_success:
            return content["data"]
        refused = content["error"]
        details = tuple(f"{each['path']}: {each['message']}" for each in refused.get("details") or ())[:_SHOWN]
        raise ImportFailed(f"{method} {path}: {refused['message']} ({refused['code']})", lines=details)
