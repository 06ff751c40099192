"""The gateway to the Prefect API, against a server that answers as Prefect does (the real one is driven in e2e)."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from flows.errors import PrefectRefused, PrefectUnavailable
from flows.orchestrator import (
    INLINE_PARAMETERS_BYTES,
    DeploymentSpec,
    Orchestrator,
    ScheduleSpec,
    Submission,
    deployment_name,
    entrypoint,
    workflow_of,
)
from flows.states import Environment

Answer = Callable[[httpx.Request], httpx.Response]


class Server:
    """Remembers requests; answers by path, 404 otherwise."""

    def __init__(self, **answers: Any) -> None:
        self.requests: list[tuple[str, str, Any]] = []
        self.answers = answers

    def __call__(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content) if request.content else None
        path = request.url.path.removeprefix("/api/")
        self.requests.append((request.method, path, body))
        for fragment, answer in self.answers.items():
            if fragment in path:
                return httpx.Response(200, json=answer)
        return httpx.Response(404, json={"detail": "not found"})

    def body(self, fragment: str) -> Any:
        return next(body for method, path, body in self.requests if method == "POST" and fragment in path)


def gateway(server: Answer) -> Orchestrator:
    return Orchestrator(
        api_url="http://prefect.localhost/api", auth="admin:secret", transport=httpx.MockTransport(server)
    )


def a_deployment(**changes: Any) -> DeploymentSpec:
    base: dict[str, Any] = {
        "workflow_id": uuid4(),
        "flow_name": "acme--late",
        "environment": Environment.DEVELOPMENT,
        "version": 4,
    }
    return DeploymentSpec(**(base | changes))


async def test_a_deployment_bears_entrypoint_pool_and_form() -> None:
    flow_id, made = uuid4(), uuid4()
    server = Server(flows={"id": str(flow_id)}, deployments={"id": str(made)}, work_pools={})
    schema = {"type": "object", "properties": {"path": {"type": "string"}, "n": {"type": "integer"}}, "required": ["n"]}
    spec = a_deployment(input_schema=schema)
    assert await gateway(server).ensure_deployment(spec) == made
    body = server.body("deployments/")
    assert body["flow_id"] == str(flow_id)
    assert body["name"] == "acme--late"
    assert body["entrypoint"] == f"deployments.entrypoint.workflow_{spec.workflow_id.hex}"
    assert body["work_pool_name"] == "turbocat-development"
    form = body["parameter_openapi_schema"]
    assert form["required"] == ["n"]
    assert {name: rules["position"] for name, rules in form["properties"].items()} == {"path": 0, "n": 1}


async def test_a_missing_pool_is_made_with_a_queue_per_priority() -> None:
    made: list[str] = []

    def server(request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/api/")
        if request.method == "GET":
            return httpx.Response(404)
        made.append(path)
        return httpx.Response(409 if "queues" in path else 201, json={})

    await gateway(server).ensure_work_pool(Environment.STAGING)
    assert made == ["work_pools/"] + ["work_pools/turbocat-staging/queues"] * 3


@pytest.mark.parametrize(
    ("schedule", "rule"),
    [
        (ScheduleSpec(cron="0 6 * * *", timezone="Europe/Berlin"), {"cron": "0 6 * * *", "timezone": "Europe/Berlin"}),
        (ScheduleSpec(interval_seconds=60, active=False), {"interval": 60, "timezone": "UTC"}),
    ],
)
async def test_schedules(schedule: ScheduleSpec, rule: dict[str, Any]) -> None:
    server = Server(flows={"id": str(uuid4())}, deployments={"id": str(uuid4())}, work_pools={})
    await gateway(server).ensure_deployment(a_deployment(schedule=schedule))
    assert server.body("deployments/")["schedules"] == [{"schedule": rule, "active": schedule.active}]


async def test_a_submission_is_keyed_by_its_execution() -> None:
    run = uuid4()
    server = Server(create_flow_run={"id": str(run)})
    at = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
    submission = Submission(
        execution_id=uuid4(),
        deployment_id=uuid4(),
        run_name="late 1",
        inputs={"n": 1},
        tags=("x",),
        priority="high",
        scheduled_at=at,
    )
    assert await gateway(server).submit(submission) == run
    body = server.body("create_flow_run")
    assert body["idempotency_key"] == str(submission.execution_id)
    assert body["work_queue_name"] == "high"
    assert body["parameters"] == {"n": 1}
    assert body["enforce_parameter_schema"] is False
    assert body["state"]["state_details"]["scheduled_time"] == at.isoformat()


async def test_large_inputs_stay_out_of_prefect() -> None:
    server = Server(create_flow_run={"id": str(uuid4())})
    inputs = {"text": "x" * INLINE_PARAMETERS_BYTES}
    await gateway(server).submit(
        Submission(execution_id=uuid4(), deployment_id=uuid4(), run_name="large", inputs=inputs)
    )
    assert server.body("create_flow_run")["parameters"] == {}


async def test_removing_what_is_gone_is_fine() -> None:
    server = Server()
    await gateway(server).remove_deployment(uuid4())
    assert [method for method, _, _ in server.requests] == ["DELETE"]


async def test_no_answer_and_a_refusal_are_told_apart() -> None:
    def away(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    with pytest.raises(PrefectUnavailable, match="gave no answer"):
        await gateway(away).health()
    with pytest.raises(PrefectUnavailable, match="503"):
        await gateway(lambda _: httpx.Response(503)).health()
    with pytest.raises(PrefectRefused, match="422"):
        await gateway(lambda _: httpx.Response(422, json={"detail": "no"})).health()


async def test_the_password_is_sent_and_never_told() -> None:
    seen: list[str] = []

    def server(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["authorization"])
        return httpx.Response(401, json={"exception_message": "Unauthorized"})

    with pytest.raises(PrefectUnavailable, match="401") as caught:
        await gateway(server).health()
    assert seen[0].startswith("Basic ")
    assert "secret" not in str(caught.value)


def test_names() -> None:
    assert deployment_name("a--b", Environment.DEVELOPMENT) == "a--b"
    assert deployment_name("a--b", Environment.PRODUCTION) == "a--b--production"
    assert entrypoint(UUID(int=5)).endswith("workflow_" + "0" * 31 + "5")


def test_entrypoints_lead_back_to_their_workflow() -> None:
    workflow_id = uuid4()
    assert workflow_of(entrypoint(workflow_id)) == workflow_id
    for foreign in ("", "flows.py:main", "other.module.workflow_" + workflow_id.hex, "deployments.entrypoint.main"):
        with pytest.raises(ValueError, match="no entrypoint"):
            workflow_of(foreign)


def test_links_lead_to_the_ui() -> None:
    gate = Orchestrator(api_url="http://127.0.0.1:4200/api")
    assert gate.run_url(UUID(int=5)) == f"http://127.0.0.1:4200/runs/flow-run/{UUID(int=5)}"
    behind_proxy = Orchestrator(api_url="http://10.0.0.2/api", ui_url="https://prefect.example.com/")
    assert behind_proxy.run_url(UUID(int=5)).startswith("https://prefect.example.com/runs/")


RUN = UUID("01a1fdd8-1f43-78bc-9de5-205e99c274c1")


def in_state(kind: str) -> list[dict[str, Any]]:
    return [{"id": str(RUN), "state": {"type": kind, "timestamp": "2026-11-21T10:00:00Z"}}]


async def test_a_suspended_run_is_scheduled_and_any_other_left_alone() -> None:
    server = Server(filter=in_state("PAUSED"), set_state={"status": "ACCEPT"})
    found = await gateway(server).resume(RUN)
    assert found is not None
    assert found.type == "PAUSED"
    assert server.body("set_state") == {"state": {"type": "SCHEDULED", "name": "Resuming"}}
    server = Server(filter=in_state("RUNNING"))
    found = await gateway(server).resume(RUN)
    assert found is not None
    assert found.type == "RUNNING"
    assert len(server.requests) == 1
    assert await gateway(Server(filter=[])).resume(RUN) is None


async def test_a_run_that_may_not_be_resumed_says_why() -> None:
    refusal = {"status": "REJECT", "details": {"reason": "it has no deployment"}}
    with pytest.raises(PrefectRefused, match="it has no deployment"):
        await gateway(Server(filter=in_state("PAUSED"), set_state=refusal)).resume(RUN)


async def test_an_operators_answer_is_read_and_forgotten() -> None:
    server = Server(response={"approved": True})
    assert await gateway(server).given_answer(RUN, RUN) == {"approved": True}
    await gateway(server).forget_answer(RUN, RUN)
    assert [method for method, path, _ in server.requests] == ["GET", "DELETE"]
    assert await gateway(Server()).given_answer(RUN, RUN) is None
    await gateway(Server()).forget_answer(RUN, RUN)


@pytest.mark.case(34)
@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        (["Scheduled"], False),
        (["Scheduled", "Completed", "AwaitingRetry"], True),
        (["Scheduled", "Completed", "AwaitingRetry", "Late"], True),
        (["Scheduled", "Completed", "Retried on the command line", "AwaitingConcurrencySlot"], True),
        (["Scheduled", "Completed", "put back"], False),
        (["Scheduled", "Completed", "put back", "Late"], False),
        (["Scheduled", "put back", "Completed", "AwaitingRetry"], True),
        (["Scheduled", "Suspended", "Resuming", "Completed"], False),
    ],
)
async def test_a_wish_to_run_it_again_is_told_from_a_put_back_that_came_late(names: list[str], wanted: bool) -> None:
    flow_run_id, told = uuid4(), Server(set_state={})
    await gateway(told).put_back(flow_run_id)
    put_back = told.body("set_state")["state"]
    types = {"Completed": "COMPLETED", "Suspended": "PAUSED"}
    history = [
        put_back if name == "put back" else {"type": types.get(name, "SCHEDULED"), "name": name, "message": None}
        for name in names
    ]
    assert await gateway(Server(flow_run_states=history)).is_wanted_anew(flow_run_id) is wanted


async def test_all_pages_of_what_was_cancelled_are_read() -> None:
    ids = [str(uuid4()) for _ in range(201)]
    asked: list[Any] = []

    def server(request: httpx.Request) -> httpx.Response:
        asked.append(json.loads(request.content))
        start = asked[-1]["offset"]
        return httpx.Response(200, json=[{"id": each} for each in ids[start : start + asked[-1]["limit"]]])

    since = datetime(2026, 11, 21, 9, tzinfo=UTC)
    assert await gateway(server).cancelled_since(since) == [UUID(each) for each in ids]
    assert [each["offset"] for each in asked] == [0, 200]
    wanted = {"state": {"type": {"any_": ["CANCELLED"]}}, "end_time": {"after_": "2026-11-21T09:00:00+00:00"}}
    assert asked[0]["flow_runs"] == wanted
