"""LLM providers on the running stack, against a server that speaks the OpenAI protocol: tried out, asked, fallen back
from, killed in the middle of an answer; and where the key is found afterwards."""

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import httpx
import psutil
import pytest
from sqlalchemy import select
from sqlmodel import col

from platform_api.access.scope import system_scope
from platform_api.db.engine import create_engine, session_maker
from platform_api.db.models import LlmProvider
from platform_api.settings import DatabaseSettings
from tests.agents.http_server import Received, Server, http_server
from tests.e2e.test_secrets import files_with, found_in_databases
from tests.factories.api import step, workflow_body
from tests.factories.canary import traces_of
from tests.factories.events import arriving
from tests.fakes.openai_protocol import answered, chunk, failing, models, said, streamed, tokens
from tests.fixtures.breaking import Breaker
from tests.fixtures.live import OVER, PATIENCE_SECONDS, Live
from tests.fixtures.stack import MODELS_HOST
from tests.fixtures.true_record import TrueRecord

pytestmark = [pytest.mark.e2e]

PRICED = {"prompt": 3, "completion": 15, "cached": 0.3}
WORDS = ["LH1 ", "was ", "forty-two ", "minutes ", "late."]

Answers = Callable[[Received], bytes | Callable[[Received, asyncio.StreamWriter], Awaitable[None]]]


class ModelServer:
    """Several providers behind one port, told apart by the first part of the path."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.asked: Counter[str] = Counter()
        self.keys: set[str] = set()
        self._answers: dict[str, Answers] = {}
        server.answers = [self._answer]

    def provider(self, name: str, answers: Answers) -> str:
        """The base URL of a provider that answers so."""
        self._answers[name] = answers
        return self._server.url(f"/{name}/v1", host=MODELS_HOST)

    async def _answer(self, request: Received, writer: asyncio.StreamWriter) -> None:
        _, name, _, *what = request.path.split("/")
        self.keys.add(request.headers.get("authorization", ""))
        if what == ["models"]:
            writer.write(models("llama3", "phi4"))
            return
        self.asked[name] += 1
        answer = self._answers[name](request)
        if isinstance(answer, bytes):
            writer.write(answer)
        else:
            await answer(request, writer)


@pytest.fixture
async def server() -> AsyncIterator[ModelServer]:
    async with http_server(host=MODELS_HOST) as running:
        yield ModelServer(running)


async def a_provider(live: Live, url: str, key: str, **fields: Any) -> dict[str, Any]:
    body = {"kind": "OPENAI_COMPATIBLE", "baseUrl": url, "credentials": {"apiKey": key}, **fields}
    return await live.api.made("/llm-providers", body)


async def listened(live: Live, execution_id: str) -> tuple[list[str], str]:
    """The pieces of the answer, and all that the stream told."""
    pieces, told = [], []
    url = f"/api/v1/executions/{execution_id}/stream"
    async with asyncio.timeout(120), live.api.client.stream("GET", url, headers=live.api.headers) as answer:
        async for event in arriving(answer):
            told.append(str(event))
            if event.event == "token":
                pieces.append(event.data["text"])
            if event.event == "execution.status" and event.data["status"] in OVER:
                break
    return pieces, "".join(told)


async def ciphertext_of(live: Live, provider: dict[str, Any]) -> str:
    """As the search through the databases sees it: bytes print as hexadecimal."""
    engine = create_engine(DatabaseSettings(url=live.stack.database_url), application_name="canary")
    try:
        async with system_scope(session_maker(engine)) as scope:
            mine = select(col(LlmProvider.credentials)).where(col(LlmProvider.id) == UUID(provider["id"]))
            return bytes(await scope.session.scalar(mine) or b"").hex()
    finally:
        await engine.dispose()


@pytest.mark.case(31)
async def test_a_provider_is_tried_asked_and_fallen_back_from_and_its_key_stays_hidden(
    live: Live, server: ModelServer
) -> None:
    """Case 31: both keys go over the wire, one comes back in an error, and neither is anywhere but encrypted, once."""
    key, other_key = (f"sk-canary-{uuid4().hex}" for _ in range(2))
    gone = server.provider("gone", lambda _: failing(503, f"no capacity for {key}"))
    here = server.provider("here", lambda request: answered(request, *WORDS, usage=tokens(400, 60, 100)))
    first = await a_provider(live, gone, key, name="gone", priority=1, models=[{"name": "gpt-x", "price": PRICED}])
    stand_in = [{"name": "llama3", "aliases": ["gpt-x"], "price": PRICED}]
    second = await a_provider(live, here, other_key, name="here", priority=2, models=stand_in)

    agent = await live.agent("LLM", {"model": "gpt-x", "prompt": "Was it late?"})
    body = workflow_body(steps=[step("ask", agent)], output="{{ ask.output }}", status="ACTIVE")
    execution_id = await live.start(await live.api.made("/workflows", body))
    pieces, told = await listened(live, execution_id)
    execution = await live.ended(execution_id)
    assert execution["status"] == "COMPLETED", execution
    assert (execution["outputs"]["provider"], execution["outputs"]["model"]) == ("here", "llama3")
    assert "".join(pieces) == execution["outputs"]["text"] == "".join(WORDS)
    (recorded,) = await live.steps(execution_id)
    *failed, final = recorded["calls"]
    assert [(call["provider"], call["status"]) for call in failed] == [("gone", "FAILED")]
    assert failed[0]["reason"] == "it answered 503: no capacity for ***"
    assert (final["model"], final["promptTokens"], final["cachedTokens"]) == ("llama3", 400, 100)
    assert execution["usage"]["totalCost"] == final["cost"] == 0.00183
    assert server.keys == {f"Bearer {key}", f"Bearer {other_key}"}

    live.api.client.timeout = httpx.Timeout(PATIENCE_SECONDS)
    tried = (await live.api.post(f"/llm-providers/{second['id']}/test")).json()["data"]
    assert (tried["ok"], tried["model"], tried["models"]) == (True, "llama3", ["llama3", "phi4"]), tried["error"]
    refused = (await live.api.post(f"/llm-providers/{first['id']}/test")).json()["data"]
    assert (refused["ok"], refused["error"]["code"]) == (False, "PROVIDER_UNAVAILABLE"), refused

    await live.flow_run(execution)
    lines = await live.data(f"/executions/{execution_id}/logs", pageSize=100)
    shown = [await live.api.get(path) for path in ("/llm-providers", "/audit-logs", f"/executions/{execution_id}")]
    mirror = await live.prefect_logs({"logs": {"flow_run_id": {"any_": [execution["prefectFlowRunId"]]}}})
    seen = f"{tried}{refused}{told}{recorded}{lines}{[each.text for each in shown]}{mirror}"
    for provider, secret in ((first, key), (second, other_key)):
        assert [trace for trace in traces_of(secret) if trace in seen] == []
        assert await found_in_databases(live.stack, secret) == {}
        assert files_with(live.stack.data_dir, secret) == []
        found = await found_in_databases(live.stack, await ciphertext_of(live, provider))
        assert found == {"llm_providers": 1}, "its ciphertext, once"


@pytest.mark.slow
@pytest.mark.timeout(280)
@pytest.mark.case(32)
async def test_a_worker_that_is_killed_in_the_middle_of_an_answer_costs_that_call(
    live: Live, server: ModelServer
) -> None:
    """The run goes on, the call is made once more, and what the lost one had used is recorded and paid."""
    half = streamed(chunk("Half "), chunk("an answer"), ends=False)
    whole = said("Whole.", usage=tokens(50, 7))
    url = server.provider("m", lambda _: half if server.asked["m"] == 2 else whole)
    await a_provider(live, url, "sk-x", name="m", models=[{"name": "m", "price": PRICED}])
    project = str((await live.api.made("/projects", {"name": "P", "budget": {"maxTokens": 99_000}}))["project"]["id"])
    agent = await live.agent("LLM", {"model": "m", "prompt": "Tell."}, projectId=project)
    steps = [step("before", agent), step("ask", agent, dependsOn=["before"])]
    workflow = await live.api.active_workflow(steps=steps, projectId=project)
    execution_id = await live.start(workflow)
    async with asyncio.timeout(120):
        while not any(map(_is_in_the_air, await live.steps(execution_id))):  # noqa: ASYNC110 - of another process
            await asyncio.sleep(0.1)
    await kill_with_all_its_processes(live)
    record = TrueRecord(stack=live.stack, tenant_id=live.api.tenant_id)
    await record.until_over([execution_id])
    await record.check()
    execution = await live.data(f"/executions/{execution_id}")
    assert execution["status"] == "COMPLETED", execution
    attempts = {(each["stepKey"], each["attempt"]): each for each in await live.steps(execution_id)}
    assert set(attempts) == {("before", 1), ("ask", 1), ("ask", 2)}
    (lost,) = attempts["ask", 1]["calls"]
    assert (lost["status"], lost["isEstimate"]) == ("LOST", True)
    assert lost["promptTokens"] > 0
    assert lost["completionTokens"] > 0
    assert server.asked["m"] == 3, "the lost call once more, and no other"
    usage = (await live.api.get(f"/projects/{project}/usage")).json()["data"]
    for name in ("promptTokens", "completionTokens"):
        total = sum(each["usage"][name] for each in attempts.values())
        assert total == sum(call[name] for each in attempts.values() for call in each["calls"])
        assert execution["usage"][name] == usage[name] == total
    costs = [Decimal(str(call["cost"])) for each in attempts.values() for call in each["calls"]]
    assert sum(costs) == Decimal(str(execution["usage"]["totalCost"])) == Decimal(str(usage["totalCost"]))
    assert usage["reservedTokens"] == 0


async def kill_with_all_its_processes(live: Live) -> None:
    """The innermost first: a process whose worker has gone would leave in good order."""
    breaker = Breaker(stack=live.stack, draw=random.Random(0))
    worker = breaker.process_of("worker")
    assert worker is not None
    breaker.look()
    for each in reversed([worker, *worker.children(recursive=True)]):
        with contextlib.suppress(psutil.NoSuchProcess):
            each.kill()


def _is_in_the_air(attempt: dict[str, Any]) -> bool:
    return any(call["status"] == "RUNNING" and call["completionTokens"] > 0 for call in attempt["calls"])
