"""The only gateway to the Prefect API: deployments, submissions, and whether the server answers.

Everything else of the platform speaks of workflows and executions; this module speaks Prefect. It talks REST through
httpx rather than Prefect's client, because the API process needs five calls of it and not its seconds of imports.
"""

import time
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit
from uuid import UUID

import httpx
import orjson

from flows.errors import PrefectRefused, PrefectUnavailable
from flows.forms import form_keys
from flows.states import Environment, ExecutionStatus

ENTRYPOINT_MODULE = "deployments.entrypoint"
AGENT_RUNS_ATTRIBUTE = "agent_runs"
AGENT_RUNS_FLOW = "agent-runs"
"""The flow of runs of single agents. Flows of workflows have `--` in their names, so none can be called the same."""
PRIORITY_QUEUES = {"high": 1, "default": 2, "low": 3}
"""Work queue to Prefect priority (1 goes first)."""

_NOT_NOW = frozenset({401, 403, 408, 429})
"""Answers that speak of the caller's credentials or of the moment, not of what was asked."""

_PUT_BACK = "Nobody has it; a worker may take it again"
"""Message of the state, by which it is known later."""
_NOT_WISHES = frozenset({"Late", "AwaitingConcurrencySlot", "Resuming"})
"""Names of scheduled states in which no run begins that had ended: Prefect's own, and the end of a suspension."""

_PAGE = 200

_ENDS = {ExecutionStatus.TIMEOUT: "FAILED"}
_END_NAMES = {
    ExecutionStatus.COMPLETED: "Completed",
    ExecutionStatus.FAILED: "Failed",
    ExecutionStatus.TIMEOUT: "TimedOut",
    ExecutionStatus.CANCELLED: "Cancelled",
}

INLINE_PARAMETERS_BYTES = 64 * 1024
"""Inputs up to this size are shown in the Prefect UI; larger ones stay in the execution's row alone."""


@dataclass(frozen=True, kw_only=True)
class ScheduleSpec:
    """Either `cron` or `interval_seconds`."""

    cron: str | None = None
    interval_seconds: int | None = None
    timezone: str = "UTC"
    active: bool = True


@dataclass(frozen=True, kw_only=True)
class DeploymentSpec:
    """A workflow in one environment, as Prefect should know it; without a workflow what runs single agents."""

    workflow_id: UUID | None
    flow_name: str
    environment: Environment
    version: int
    description: str = ""
    tags: tuple[str, ...] = ()
    input_schema: dict[str, Any] | None = None
    schedule: ScheduleSpec | None = None


@dataclass(frozen=True, kw_only=True)
class Submission:
    """One execution, ready to be handed to Prefect. Its id is the idempotency key: submitting twice runs once."""

    execution_id: UUID
    deployment_id: UUID
    run_name: str
    inputs: dict[str, Any] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    priority: str = "default"
    scheduled_at: datetime | None = None


def work_pool(environment: Environment) -> str:
    """The work pool that serves an environment."""
    return f"turbocat-{environment.value.lower()}"


def entrypoint(workflow_id: UUID | None) -> str:
    """The dotted path under which a Prefect worker loads the workflow's flow, or that of single agents."""
    attribute = AGENT_RUNS_ATTRIBUTE if workflow_id is None else f"workflow_{workflow_id.hex}"
    return f"{ENTRYPOINT_MODULE}.{attribute}"


def workflow_of(path: str) -> UUID | None:
    """The workflow behind an entrypoint, None for single agents; raises `ValueError` for a foreign path."""
    if path == entrypoint(None):
        return None
    module, _, attribute = path.rpartition(".")
    if module != ENTRYPOINT_MODULE or not attribute.startswith("workflow_"):
        raise ValueError(f"{path!r} is no entrypoint of a workflow")
    return UUID(attribute.removeprefix("workflow_"))


def deployment_name(flow_name: str, environment: Environment) -> str:
    """Equal to the flow's name in DEVELOPMENT, with the environment behind it elsewhere."""
    if environment is Environment.DEVELOPMENT:
        return flow_name
    return f"{flow_name}--{environment.value.lower()}"


@dataclass(frozen=True, kw_only=True)
class RunState:
    """Where Prefect has a flow run: the type of its state in Prefect's words, and since when."""

    type: str
    since: datetime
    message: str = ""

    @classmethod
    def of(cls, state: dict[str, Any]) -> "RunState":
        """From Prefect's JSON."""
        since = datetime.fromisoformat(state["timestamp"])
        return cls(type=state["type"], since=since, message=state.get("message") or "")


class Orchestrator:
    """A client of one Prefect server. Raises `PrefectUnavailable` or `PrefectRefused`, nothing of httpx."""

    def __init__(
        self,
        *,
        api_url: str,
        auth: str | None = None,
        ui_url: str | None = None,
        timeout_seconds: float = 5.0,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        user, _, password = (auth or "").partition(":")
        self._ui_url = (ui_url or _default_ui(api_url)).rstrip("/")
        self._http = httpx.AsyncClient(
            base_url=api_url.rstrip("/") + "/",
            auth=(user, password) if auth else None,
            timeout=timeout_seconds,
            transport=transport,
        )
        self._agent_runs: dict[Environment, UUID] = {}

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._http.aclose()

    async def health(self) -> float:
        """How many milliseconds the server took to say that it is well."""
        started = time.monotonic()
        await self._call("GET", "health")
        return (time.monotonic() - started) * 1000

    async def workers_online(self) -> int:
        """How many workers of our pools have sent a heartbeat lately."""
        online = 0
        for environment in Environment:
            path = f"work_pools/{work_pool(environment)}/workers/filter"
            workers = await self._call("POST", path, {"workers": {"status": {"any_": ["ONLINE"]}}}, missing=[])
            online += len(workers)
        return online

    async def ensure_work_pool(self, environment: Environment) -> None:
        """Makes the pool and its queues where they are missing. The first worker fills in the job template."""
        name = work_pool(environment)
        if await self._call("GET", f"work_pools/{name}", missing=None) is None:
            description = f"Turbocat workflows in {environment.value}"
            body = {"name": name, "type": "process", "description": description}
            await self._call("POST", "work_pools/", body, conflict=None)
        for queue, priority in PRIORITY_QUEUES.items():
            if await self._call("GET", f"work_pools/{name}/queues/{queue}", missing=None) is None:
                queue_body: dict[str, Any] = {"name": queue, "priority": priority}
                await self._call("POST", f"work_pools/{name}/queues", queue_body, conflict=None)

    async def ensure_deployment(self, spec: DeploymentSpec) -> UUID:
        """Makes or updates the workflow's deployment and returns its Prefect id."""
        await self.ensure_work_pool(spec.environment)
        flow = await self._call("POST", "flows/", {"name": spec.flow_name, "tags": list(spec.tags)})
        deployment = await self._call("POST", "deployments/", _deployment_body(spec, flow["id"]))
        return UUID(deployment["id"])

    async def ensure_agent_runs(self, environment: Environment, *, anew: bool = False) -> UUID:
        """The deployment that runs single agents there; Prefect is asked once per process, or `anew`."""
        if anew or environment not in self._agent_runs:
            self._agent_runs[environment] = await self.ensure_deployment(_agent_runs(environment))
        return self._agent_runs[environment]

    async def remove_deployment(self, deployment_id: UUID) -> None:
        """Takes the deployment and its schedules away; one that is gone already is fine."""
        await self._call("DELETE", f"deployments/{deployment_id}", missing=None)

    async def submit(self, submission: Submission) -> UUID:
        """Hands the execution over and returns the id of its flow run."""
        path = f"deployments/{submission.deployment_id}/create_flow_run"
        run = await self._call("POST", path, _flow_run_body(submission))
        return UUID(run["id"])

    async def flow_run(self, flow_run_id: UUID) -> dict[str, Any] | None:
        """The flow run as Prefect has it, or None."""
        found: dict[str, Any] | None = await self._call("GET", f"flow_runs/{flow_run_id}", missing=None)
        return found

    async def states(self, flow_run_ids: Collection[UUID]) -> dict[UUID, RunState]:
        """Where Prefect has these runs (200 at most); one that it does not know is left out."""
        ids = [str(each) for each in flow_run_ids]
        found = await self._call("POST", "flow_runs/filter", {"flow_runs": {"id": {"any_": ids}}, "limit": len(ids)})
        return {UUID(run["id"]): RunState.of(run["state"]) for run in found if run["state"]}

    async def put_back(self, flow_run_id: UUID) -> None:
        """Lets a worker take a run (again) that another has taken and not begun."""
        await self._set_state(flow_run_id, {"type": "SCHEDULED", "name": "Scheduled", "message": _PUT_BACK})

    async def is_wanted_anew(self, flow_run_id: UUID) -> bool:
        """Whether a run that had ended was scheduled again by somebody in Prefect: its UI, its command line.

        Not so where the last to schedule it was `put_back`, heard too late.
        """
        history = await self._call("GET", f"flow_run_states/?flow_run_id={flow_run_id}", missing=[])
        scheduled = [each for each in history if each["type"] == "SCHEDULED" and each["name"] not in _NOT_WISHES]
        return len(scheduled) > 1 and scheduled[-1]["message"] != _PUT_BACK

    async def resume(self, flow_run_id: UUID) -> RunState | None:
        """Lets a worker take a suspended run up again; one in another state is left as it is.

        Returns the state in which the run was found, None for a run that Prefect does not know. Raises `PrefectRefused`
        with the reason when Prefect does not let the run go on, as after the deletion of its deployment.
        """
        found = (await self.states([flow_run_id])).get(flow_run_id)
        if found is None or found.type != "PAUSED":
            return found
        body = {"state": {"type": "SCHEDULED", "name": "Resuming"}}
        answer = await self._call("POST", f"flow_runs/{flow_run_id}/set_state", body, missing=None)
        if answer is not None and answer["status"] != "ACCEPT":
            raise PrefectRefused(f"Prefect does not resume the run: {answer['details'].get('reason')}")
        return found

    async def given_answer(self, flow_run_id: UUID, wait_id: UUID) -> dict[str, Any] | None:
        """What was answered in the Prefect UI to a question of the run, None when nothing was."""
        given: dict[str, Any] | None = await self._call("GET", _answer_path(flow_run_id, wait_id), missing=None)
        return given

    async def forget_answer(self, flow_run_id: UUID, wait_id: UUID) -> None:
        """Takes that answer away, so that another can be given should the question be asked again."""
        await self._call("DELETE", _answer_path(flow_run_id, wait_id), missing=None)

    async def cancel(self, flow_run_id: UUID) -> None:
        """Asks for the end of a run that is going on; one that is over stays as it is."""
        await self._set_state(flow_run_id, {"type": "CANCELLING", "name": "Cancelling"}, force=False)

    async def mark_cancelled(self, flow_run_id: UUID, message: str) -> None:
        """Tells Prefect that this is not to run any more; one that is gone already is fine."""
        await self._set_state(flow_run_id, {"type": "CANCELLED", "name": "Cancelled", "message": message})

    async def mark_ended(self, flow_run_id: UUID, status: ExecutionStatus, message: str | None) -> None:
        """Tells Prefect how a run has ended whose process could not; one that says so already stays as it is."""
        state = {"type": _ENDS.get(status, status.value), "name": _END_NAMES[status], "message": message}
        found = (await self.states([flow_run_id])).get(flow_run_id)
        if found is not None and found.type != state["type"]:
            await self._set_state(flow_run_id, state)

    async def unfinished(self, *, limit: int, offset: int) -> dict[UUID, RunState]:
        """A page of the runs that Prefect has as taken, running, waiting, being cancelled or crashed, in stable order.

        A process that is stopped in the moment after the end of a run says Crashed of it.
        """
        open_types = {"any_": ["PENDING", "RUNNING", "CANCELLING", "PAUSED", "CRASHED"]}
        body = {"flow_runs": {"state": {"type": open_types}}, "sort": "ID_DESC", "limit": limit, "offset": offset}
        found = await self._call("POST", "flow_runs/filter", body)
        return {UUID(run["id"]): RunState.of(run["state"]) for run in found if run["state"]}

    async def cancelled_since(self, since: datetime) -> list[UUID]:
        """The runs whose cancellation has ended since then, the latest first; all of them, a page at a time."""
        wanted = {"state": {"type": {"any_": ["CANCELLED"]}}, "end_time": {"after_": since.isoformat()}}
        found: list[UUID] = []
        while True:
            page = {"limit": _PAGE, "offset": len(found)}
            rows = await self._call("POST", "flow_runs/filter", {"flow_runs": wanted, "sort": "END_TIME_DESC", **page})
            found += [UUID(row["id"]) for row in rows]
            if len(rows) < _PAGE:
                return found

    async def _set_state(self, flow_run_id: UUID, state: dict[str, Any], *, force: bool = True) -> None:
        await self._call("POST", f"flow_runs/{flow_run_id}/set_state", {"state": state, "force": force}, missing=None)

    def run_url(self, flow_run_id: UUID) -> str:
        """Where a person sees the run in the Prefect UI."""
        return f"{self._ui_url}/runs/flow-run/{flow_run_id}"

    async def _call(self, method: str, path: str, body: Any = None, **answers: Any) -> Any:
        """One request. `missing` and `conflict` name what to answer on 404 and 409 instead of raising."""
        try:
            response = await self._http.request(method, path, json=body)
        except httpx.HTTPError as error:
            raise PrefectUnavailable(f"The Prefect API gave no answer: {type(error).__name__}") from error
        if response.status_code == httpx.codes.NOT_FOUND and "missing" in answers:
            return answers["missing"]
        if response.status_code == httpx.codes.CONFLICT and "conflict" in answers:
            return answers["conflict"]
        if response.status_code >= httpx.codes.INTERNAL_SERVER_ERROR or response.status_code in _NOT_NOW:
            raise PrefectUnavailable(f"The Prefect API answered {response.status_code} to {method} {path}")
        if response.is_error:
            raise PrefectRefused(
                f"The Prefect API answered {response.status_code} to {method} {path}: {response.text[:300]}"
            )
        return response.json() if response.content else None


def _answer_path(flow_run_id: UUID, wait_id: UUID) -> str:
    return f"flow_runs/{flow_run_id}/input/{form_keys(wait_id)['response']}"


def _agent_runs(environment: Environment) -> DeploymentSpec:
    return DeploymentSpec(
        workflow_id=None,
        flow_name=AGENT_RUNS_FLOW,
        environment=environment,
        version=1,
        description="Tests of single agents. They are started with `POST /api/v1/agents/{id}/test`, not from here.",
        tags=("agent-test",),
    )


def _labels(spec: DeploymentSpec) -> dict[str, str]:
    labels = {"turbocat.environment": spec.environment.value}
    return labels if spec.workflow_id is None else {"turbocat.workflow": str(spec.workflow_id), **labels}


def _deployment_body(spec: DeploymentSpec, flow_id: str) -> dict[str, Any]:
    return {
        "name": deployment_name(spec.flow_name, spec.environment),
        "flow_id": flow_id,
        "version": str(spec.version),
        "description": spec.description,
        "tags": list(spec.tags),
        "entrypoint": entrypoint(spec.workflow_id),
        "path": ".",
        "work_pool_name": work_pool(spec.environment),
        "work_queue_name": "default",
        "parameter_openapi_schema": _parameter_schema(spec.input_schema),
        "enforce_parameter_schema": False,
        "schedules": [_schedule_body(spec.schedule)] if spec.schedule else [],
        "labels": _labels(spec),
    }


def _parameter_schema(schema: dict[str, Any] | None) -> dict[str, Any]:
    """The form that the Prefect UI shows: the workflow's input schema, with a position for each field."""
    form = {"title": "Parameters", "type": "object", "properties": {}, "required": [], **(schema or {})}
    fields = {name: dict(rules) if isinstance(rules, dict) else {} for name, rules in form["properties"].items()}
    form["properties"] = {
        name: {"title": name, "position": position, **rules} for position, (name, rules) in enumerate(fields.items())
    }
    form.setdefault("definitions", form.pop("$defs", {}))
    return form


def _schedule_body(schedule: ScheduleSpec) -> dict[str, Any]:
    if schedule.cron:
        rule: dict[str, Any] = {"cron": schedule.cron, "timezone": schedule.timezone}
    else:
        rule = {"interval": schedule.interval_seconds, "timezone": schedule.timezone}
    return {"schedule": rule, "active": schedule.active}


def _flow_run_body(submission: Submission) -> dict[str, Any]:
    state: dict[str, Any] = {"type": "SCHEDULED"}
    if submission.scheduled_at:
        state["state_details"] = {"scheduled_time": submission.scheduled_at.isoformat()}
    return {
        "name": submission.run_name,
        "state": state,
        "parameters": _shown_parameters(submission.inputs),
        "enforce_parameter_schema": False,
        "idempotency_key": str(submission.execution_id),
        "tags": list(submission.tags),
        "work_queue_name": submission.priority,
    }


def _shown_parameters(inputs: dict[str, Any]) -> dict[str, Any]:
    return inputs if len(orjson.dumps(inputs)) <= INLINE_PARAMETERS_BYTES else {}


def _default_ui(api_url: str) -> str:
    parts = urlsplit(api_url)
    return urlunsplit(
        (parts.scheme, quote(parts.netloc, safe=":@[]"), parts.path.removesuffix("/").removesuffix("/api"), "", "")
    )
