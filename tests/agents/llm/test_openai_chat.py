"""The wire: what goes to a server that speaks the OpenAI protocol, and what becomes of what it sends back."""

import asyncio
import json
import logging
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime
from typing import Any

import pytest

from agents.egress.policy import EgressPolicy
from agents.errors import AgentTimeout, BudgetExceeded, ConfigInvalid, EgressRefused, LimitExceeded, ModelFailed
from agents.providers.budget import BoundedBudget
from agents.providers.provider import Price, ProviderModel
from agents.spec import Limits
from tests.agents.http_server import Received, Server, json_reply, reply
from tests.agents.llm.conftest import KEY, Harness, fake, remote
from tests.agents.llm.test_executor import LATE, PRICED, Tools
from tests.fakes.openai_protocol import DONE, answered, chunk, completion, failing, said, streamed, tokens


def body(received: Received) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(received.body)
    return parsed


async def test_a_streamed_answer_is_shown_piece_by_piece_and_counted(harness: Harness, server: Server) -> None:
    server.answers = [said("It ", "was ", "late.", usage=tokens(1000, 100, 400))]
    models = (ProviderModel(name="m", price=Price(prompt=Decimal(3), completion=Decimal(15), cached=Decimal("0.3"))),)
    output = await harness.output({"prompt": "Late?", "temperature": 0.5}, remote(server, models=models))
    assert harness.shown == ["It ", "was ", "late."]
    assert output["text"] == "It was late."
    assert output["usage"]["cachedTokens"] == 400
    assert output["usage"]["cost"] == 0.00342
    assert not output["usage"]["isEstimate"]
    [received] = server.received
    assert (received.method, received.path) == ("POST", "/v1/chat/completions")
    assert received.headers["authorization"] == f"Bearer {KEY}"
    assert body(received) == {
        "model": "m",
        "messages": [{"role": "user", "content": "Late?"}],
        "temperature": 0.5,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


async def test_nothing_goes_out_that_was_not_written_here(
    harness: Harness, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client would take keys, addresses and headers from the environment, and tells about the machine."""
    for name in ("OPENAI_API_KEY", "OPENAI_ADMIN_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_BASE_URL"):
        monkeypatch.setenv(name, "http://operators-own.example")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Operator: secret\nAuthorization: Bearer operator")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    server.answers = [said("x")]
    headers = {"X-Team": "blue", "Host": "elsewhere.example", "Transfer-Encoding": "chunked", "Accept-Encoding": "br"}
    await harness.run({"prompt": "Late?"}, remote(server, api_key=None, headers=headers))
    assert server.received[0].headers["host"] == f"127.0.0.1:{server.port}"
    assert server.received[0].headers["accept-encoding"] == "identity"
    assert set(server.received[0].headers) == {
        "host",
        "accept",
        "accept-encoding",
        "content-type",
        "content-length",
        "user-agent",
        "x-team",
    }
    with pytest.raises(ConfigInvalid, match="has no `baseUrl`"):
        await harness.run({"prompt": "Late?"}, remote(server, base_url=None))


async def test_an_answer_without_a_stream(harness: Harness, server: Server) -> None:
    server.answers = [completion("Whole.", tokens(7, 2))]
    output = await harness.output({"prompt": "Late?", "stream": False, "maxTokens": 9}, remote(server))
    assert output["text"] == "Whole."
    assert output["usage"]["promptTokens"] == 7
    assert body(server.received[0])["max_tokens"] == 9
    assert "stream_options" not in body(server.received[0])


async def test_a_schema_goes_along_and_a_bad_answer_back(harness: Harness, server: Server) -> None:
    server.answers = [said('{"late": '), said('{"late": true}')]
    output = await harness.output({"prompt": "Late?", "responseSchema": LATE}, remote(server, kind="OPENAI"))
    assert output["data"] == {"late": True}
    first, second = map(body, server.received)
    assert first["response_format"]["json_schema"]["schema"] == LATE
    assert [message["role"] for message in second["messages"]] == ["system", "user", "assistant", "user"]
    assert "it is no JSON" in second["messages"][-1]["content"]


async def test_tool_calls_come_in_pieces(harness: Harness, server: Server) -> None:
    parts = [
        [{"index": 0, "id": "c7", "function": {"name": "lookup", "arguments": ""}}],
        [{"index": 1, "id": "c8", "function": {"name": "lookup", "arguments": '{"city": "Rome"}'}}],
        [{"index": 0, "function": {"arguments": '{"city": '}}],
        [{"index": 0, "function": {"arguments": '"Oslo"}'}}],
    ]
    calls = streamed(*(chunk(calls=part) for part in parts), chunk("", finish="tool_calls"), DONE)
    server.answers = [calls, said("Rain.")]
    tools = Tools()
    config = {"prompt": "Go", "tools": [{"agentId": "w", "name": "lookup", "description": "Weather"}]}
    output = await harness.output(config, remote(server), launcher=tools)
    assert output["text"] == "Rain."
    assert sorted(inputs["city"] for _, inputs in tools.calls) == ["Oslo", "Rome"]
    first, second = map(body, server.received)
    assert first["tools"][0]["function"]["parameters"]["properties"] == {"city": {"type": "string"}}
    assert [message.get("tool_call_id") for message in second["messages"]] == [None, None, "c7", "c8"]
    assert json.loads(second["messages"][2]["content"]) == {"weather": "rain in Oslo"}


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ("{", "BAD_ARGUMENTS"),
        ("[1]", "BAD_ARGUMENTS"),
        ('{"n": NaN}', "BAD_ARGUMENTS"),
        ("[" * 100_000, "BAD_ARGUMENTS"),
        ('{"n": ' + "9" * 10_000 + "}", "BAD_ARGUMENTS"),
        ('{"city": "\\ud800"}', None),
        ("", None),
    ],
    ids=["cut", "list", "nan", "deep", "huge number", "surrogate", "nothing"],
)
async def test_odd_arguments_harm_nobody(harness: Harness, server: Server, arguments: str, code: str | None) -> None:
    part = [{"index": 0, "id": "c", "function": {"name": "lookup", "arguments": arguments}}]
    half = b'data: {"choices": [{"index": 0, "delta": {"content": "half a \\ud83d "}}]}\n\n'
    server.answers = [streamed(half, chunk(calls=part), chunk("", finish="tool_calls"), DONE), said("Done.")]
    config = {"prompt": "Go", "tools": [{"agentId": "w", "name": "lookup"}]}
    output = await harness.output(config, remote(server), launcher=Tools())
    assert output["text"] == "Done."
    assert output["toolCalls"][0].get("code") == code
    assert body(server.received[1])["messages"][1]["content"] == "half a ? "


@pytest.mark.parametrize("after", ["0.5", "date"])
async def test_a_busy_provider_is_waited_for(harness: Harness, server: Server, after: str) -> None:
    if after == "date":
        after = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    server.answers = [failing(429, "slow down", retry_after=after), said("Now.")]
    output = await harness.output({"prompt": "Late?"}, remote(server))
    assert output["text"] == "Now."
    assert output["failures"][0]["reason"] == "it answered 429: slow down"
    assert 0.4 < harness.pauses[0] <= 30


@pytest.mark.parametrize(
    "answer",
    [
        failing(503, "maintenance"),
        reply(502, b"<html>" * 50_000),
        streamed(chunk("half ")),
        streamed(chunk("half "), b'data: {"error": {"message": "overloaded"}}\n\n'),
        streamed(b"data: {no json\n\n"),
        streamed(b"data: \xff\xfe\n\n"),
        reply(200, b"\x1f\x8b", content_type="text/event-stream", content_encoding="gzip"),
        b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\ncontent-type: text/event-stream\r\n\r\ndata: {}",
        b"nonsense\r\n\r\n",
    ],
    ids=["503", "large error", "cut", "error in stream", "no json", "no utf-8", "compressed", "short", "no http"],
)
async def test_the_next_provider_takes_over(harness: Harness, server: Server, answer: Any) -> None:
    async def once(request: Received, writer: asyncio.StreamWriter) -> None:
        if isinstance(answer, bytes):
            writer.write(answer)
            await writer.drain()
            writer.close()
        else:
            await answer(request, writer)

    server.answers = [once]
    second = fake({"text": "Here."}, name="second", priority=200)
    output = await harness.output({"prompt": "Late?"}, remote(server), second)
    assert (output["provider"], output["text"]) == ("second", "Here.")
    assert len(output["failures"][0]["reason"]) < 700


async def test_a_provider_that_is_not_there_is_passed_over(harness: Harness, server: Server) -> None:
    gone = remote(server, base_url="http://127.0.0.1:1/v1")
    output = await harness.output({"prompt": "Late?"}, gone, fake({"text": "Here."}, priority=200))
    assert "ConnectError" in output["failures"][0]["reason"]


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 422])
async def test_a_refusal_is_told_and_nobody_else_asked(harness: Harness, server: Server, status: int) -> None:
    server.answers = [failing(status, f"bad key {KEY}", location=server.url("/elsewhere"))]
    with pytest.raises(ModelFailed, match=f"'remote' answered {status}: bad key") as failed:
        await harness.run({"prompt": "Late?"}, remote(server), fake(priority=200))
    assert failed.value.code == "PROVIDER_REFUSED"
    assert KEY not in str(failed.value.message)
    assert len(server.received) == 1


async def test_the_guard_holds_for_models_too(harness: Harness, server: Server) -> None:
    with pytest.raises(EgressRefused, match=r"127\.0\.0\.1 may not be reached"):
        await harness.run({"prompt": "Late?"}, remote(server), egress=EgressPolicy())
    assert server.received == []


@pytest.mark.parametrize(
    "usage",
    [
        tokens(-5, 3),
        tokens(10**12, 3),
        tokens(5, 1),
        tokens("many", None),
        tokens(True, True),
        tokens(10, 400, 9999),
        {"prompt_tokens": 5},
        None,
        "lots",
    ],
    ids=["negative", "huge", "too few", "text", "bool", "cached", "half", "none", "no object"],
)
async def test_a_report_that_nobody_believes_does_not_count(harness: Harness, server: Server, usage: Any) -> None:
    server.answers = [said("word " * 400, usage=usage)]
    budget = BoundedBudget(Limits(max_tokens=10_000), "workflow")
    output = await harness.output({"prompt": "x" * 40}, remote(server, models=PRICED), budget=budget)
    assert output["usage"]["isEstimate"]
    assert output["usage"]["promptTokens"] == 14
    assert output["usage"]["completionTokens"] == 500
    assert budget.shares()[0].used == 514


async def test_an_unknown_price_is_null_and_said_so(harness: Harness, server: Server) -> None:
    server.answers = [said("x", usage=tokens(5, 1))]
    output = await harness.output({"prompt": "Late?"}, remote(server))
    assert output["usage"]["cost"] is None
    assert any(level == "WARN" and "is not known" in line for level, line, _ in harness.lines)
    with pytest.raises(ModelFailed) as failed:
        await harness.run({"prompt": "Late?"}, remote(server), limits={"max_cost": 1})
    assert failed.value.code == "PRICE_UNKNOWN"
    assert len(server.received) == 1


class Endless:
    """A stream that does not end by itself; `closed` is set when nobody listens any more."""

    def __init__(self) -> None:
        self.closed = asyncio.Event()

    async def __call__(self, _request: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
        try:
            while True:
                writer.write(chunk("word " * 20))
                await writer.drain()
                await asyncio.sleep(0)
        except ConnectionError:
            self.closed.set()
            raise

    async def is_closed(self) -> None:
        async with asyncio.timeout(30):
            await self.closed.wait()


async def test_a_provider_that_ignores_the_limit_is_cut_off(harness: Harness, server: Server) -> None:
    """The connection is closed in the middle of the answer, not after it."""
    endless = Endless()
    server.answers = [endless]
    budget = BoundedBudget(Limits(max_tokens=500), "project")
    with pytest.raises(BudgetExceeded, match="project's limit of 500"):
        await harness.run({"prompt": "Tell"}, remote(server), budget=budget)
    assert body(server.received[0])["max_tokens"] < 500
    assert 500 < budget.shares()[0].used < 600
    await endless.is_closed()


@pytest.mark.parametrize(("limit", "asked"), [(100, 94), (100_000, None)], ids=["small", "large"])
async def test_a_bound_that_nobody_wrote_is_one_that_models_take(
    harness: Harness, server: Server, limit: int, asked: int | None
) -> None:
    """A large one would be refused by the provider: there the answer streams, and is stopped by us if it must be."""
    server.answers = [_as_wanted]
    output = await harness.output({"prompt": "Tell", "stream": False}, remote(server), limits={"max_tokens": limit})
    assert output["text"] == "It was late."
    assert harness.shown == []
    sent = body(server.received[0])
    assert (sent.get("max_tokens"), sent.get("stream", False)) == (asked, asked is None)


async def _as_wanted(request: Received, writer: asyncio.StreamWriter) -> None:
    answer = answered(request, "It ", "was ", "late.")
    if isinstance(answer, bytes):
        writer.write(answer)
    else:
        await answer(request, writer)


async def test_a_cancelled_run_closes_the_stream(harness: Harness, server: Server) -> None:
    endless, shown = Endless(), asyncio.Event()
    server.answers = [endless]
    run = asyncio.create_task(harness.run({"prompt": "Tell"}, remote(server), tell_text=lambda _: shown.set()))
    async with asyncio.timeout(30):
        await shown.wait()
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    await endless.is_closed()


async def test_an_answer_without_end_is_stopped(
    harness: Harness, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agents.llm.collector.MAX_ANSWER_CHARACTERS", 1000)
    server.answers = [said(*("word " * 10 for _ in range(100)))]
    with pytest.raises(LimitExceeded) as exceeded:
        await harness.run({"prompt": "Tell"}, remote(server))
    assert exceeded.value.code == "OUTPUT_LIMIT"


async def test_a_line_without_end_is_stopped(harness: Harness, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.llm.outgoing.MAX_ANSWER_BYTES", 100_000)
    server.answers = [streamed(b"data: ", *(b"x" * 10_000 for _ in range(20)))]
    output = await harness.output({"prompt": "Tell"}, remote(server), fake({"text": "Here."}, priority=200))
    assert "larger than 100,000 bytes" in output["failures"][0]["reason"]


async def test_a_stream_that_stalls_is_stopped_in_time(harness: Harness, server: Server) -> None:
    server.answers = [streamed(chunk("one "), ends=False)]
    with pytest.raises(AgentTimeout):
        await harness.run({"prompt": "Tell"}, remote(server), limits={"timeout_seconds": 1})


async def test_a_refusal_of_the_model_is_no_answer(harness: Harness, server: Server) -> None:
    server.answers = [said("I ", finish="content_filter")]
    with pytest.raises(ModelFailed) as failed:
        await harness.run({"prompt": "Tell"}, remote(server))
    assert failed.value.code == "MODEL_REFUSED"


async def test_a_key_that_comes_back_is_masked_everywhere(
    harness: Harness, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """In the record, its log, what the client logs by itself, and errors."""
    caplog.set_level(logging.DEBUG)
    server.answers = [failing(503, f"no {KEY}"), said(f"Your keys are {KEY} and portal-4711, of 2023-06-01.")]
    provider = remote(server, headers={"x-portal-auth": "Basic portal-4711", "x-version": "2023-06-01"})
    output = await harness.output({"prompt": "Tell"}, provider)
    assert output["text"] == "Your keys are *** and ***, of 2023-06-01."
    shown = json.dumps([output, [(level, line, more) for level, line, more in harness.lines]])
    assert KEY not in shown + caplog.text + repr(provider)
    server.answers = [json_reply({"error": {"message": f"no {KEY}"}}, status=500)]
    with pytest.raises(ModelFailed) as failed:
        await harness.run({"prompt": "Tell"}, provider)
    assert KEY not in json.dumps(failed.value.details) + failed.value.message
