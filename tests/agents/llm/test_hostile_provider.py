"""Providers that mean harm, or have broken: nothing of what they send costs more than is bounded, or is believed."""

import asyncio
import gzip
import json
from typing import Any

import pytest

from agents.calls import CallStatus, usage_of
from agents.errors import LimitExceeded, ModelFailed
from agents.providers.budget import BoundedBudget
from agents.spec import Limits
from tests.agents.http_server import Received, Server, json_reply, reply
from tests.agents.llm.conftest import KEY, Harness, fake, remote
from tests.agents.llm.test_calls import Book
from tests.agents.llm.test_executor import PRICED, Tools
from tests.fakes.openai_protocol import DONE, chunk, said, streamed, tokens

TOOL = {"prompt": "Go", "tools": [{"agentId": "w", "name": "lookup"}]}
DIGITS = "9" * 5_000
PART = {"index": 0, "id": "c", "function": {"name": "lookup", "arguments": "{}"}}


def event(text: str) -> bytes:
    return f"data: {text}\n\n".encode()


@pytest.mark.parametrize(
    "answer",
    [
        reply(200, b"<html><body>Sign in</body></html>", content_type="text/html"),
        streamed(event("[" * 50_000)),
        streamed(event('{"choices": [{"delta": {"content": "x"}, "finish_reason": null}], "usage": ' + DIGITS + "}")),
        streamed(event("null"), event("[]"), event('"text"'), event("1")),
        streamed(event('{"choices": {"0": "x"}}'), event('{"choices": [null]}'), event('{"choices": [{"delta": 5}]}')),
        streamed(b"event: error\ndata: boom\n\n"),
        streamed(b"\x00\xff\xfe garbage without any line"),
        streamed(b": ping\n\n" * 1_000),
        reply(200, gzip.compress(b"0" * 50_000_000), content_type="text/event-stream", content_encoding="gzip"),
        json_reply({"error": {"message": "x" * 60_000}}, status=500),
        reply(503, b'{"error": ' + b"[" * 30_000),
        reply(
            503, json.dumps({"error": {"message": {"a": {"b": [1] * 9_000}}}}).encode(), content_type="application/json"
        ),
    ],
    ids=[
        *("html", "deep", "huge number", "no objects", "other shapes", "error event", "garbage", "pings"),
        *("gzip bomb", "long error", "broken error", "odd error"),
    ],
)
@pytest.mark.parametrize("is_streamed", [True, False], ids=["stream", "whole"])
async def test_what_is_no_answer_is_none(harness: Harness, server: Server, answer: Any, is_streamed: bool) -> None:
    """The next provider is asked, and the record says what the matter was in a few words."""
    server.answers = [answer]
    book = Book()
    config = {"prompt": "Late?", "stream": is_streamed}
    output = await harness.output(config, remote(server), fake({"text": "Here."}, priority=200), calls=book)
    assert (output["provider"], output["text"]) == ("fake", "Here.")
    failed = next(call for call in book.calls.values() if call.provider == "remote")
    assert failed.status is CallStatus.FAILED
    assert 0 < len(failed.reason or "") <= 600
    assert KEY not in str(book.calls)


@pytest.mark.parametrize(
    ("finish", "ids"),
    [("x" * 100_000, "c"), ("stop", "i" * 100_000), ("stop\x00\ud800", "c")],
    ids=["long reason", "long id", "odd reason"],
)
async def test_names_are_as_long_as_names_are(harness: Harness, server: Server, finish: str, ids: str) -> None:
    part = [{**PART, "id": ids}]
    reason = json.dumps({"choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": finish}]})
    server.answers = [streamed(chunk(calls=part), event(reason), DONE), said("Done.")]
    book = Book()
    output = await harness.output(TOOL, remote(server), launcher=Tools(), calls=book)
    assert output["text"] == "Done."
    assert max(len(call.finish_reason or "") for call in book.calls.values()) <= 256
    sent = json.loads(server.received[1].body)["messages"]
    assert len(sent[1]["tool_calls"][0]["id"]) <= 256
    assert sent[1]["tool_calls"][0]["id"] == sent[2]["tool_call_id"]


async def test_a_flood_of_tool_calls_is_stopped(harness: Harness, server: Server) -> None:
    flood = (chunk(calls=[{"index": number, "id": str(number), "function": {}}]) for number in range(1_200))
    server.answers = [streamed(*flood)]
    with pytest.raises(LimitExceeded) as exceeded:
        await harness.run(TOOL, remote(server), launcher=Tools())
    assert exceeded.value.code == "OUTPUT_LIMIT"


async def test_huge_arguments_are_passed_on_whole_and_recorded_in_part(harness: Harness, server: Server) -> None:
    arguments = json.dumps({"city": "O" * 1_000_000})
    part = [{**PART, "function": {"name": "lookup", "arguments": arguments}}]
    server.answers = [streamed(chunk(calls=part), chunk("", finish="tool_calls"), DONE), said("Done.")]
    tools, book = Tools(), Book()
    output = await harness.output(TOOL, remote(server), launcher=tools, calls=book)
    assert len(tools.calls[0][1]["city"]) == 1_000_000
    assert len(json.dumps(output)) < 10_000
    call = next(call for call in book.calls.values() if call.tool)
    assert (len(call.arguments or ""), call.argument_bytes) == (300, len(arguments))


async def test_rounds_of_tools_without_end_come_to_an_end(harness: Harness, server: Server) -> None:
    """Names that there are not, arguments that are none, and no text: each round is told what was wrong."""
    odd = [{**PART, "function": {"name": f"no such {KEY}", "arguments": "{" * 1_000}}]
    server.answers = [streamed(chunk(calls=odd), chunk("", finish="tool_calls"), DONE)]
    book = Book()
    with pytest.raises(ModelFailed) as failed:
        await harness.run({**TOOL, "maxToolRounds": 4}, remote(server), launcher=Tools(), calls=book)
    assert failed.value.code == "TOOL_ROUNDS"
    assert len(server.received) == 5
    assert KEY not in str(failed.value.details) + failed.value.message


@pytest.mark.parametrize(
    "told",
    [tokens(-1, -1), tokens(10**9, 5), tokens(5, 10**9), tokens(5, 3, -7), tokens(1.5, 2), tokens("5", "3")],
    ids=["negative", "huge prompt", "huge answer", "negative cache", "fractions", "texts"],
)
async def test_absurd_counts_charge_nobody(harness: Harness, server: Server, told: Any) -> None:
    server.answers = [said("word " * 10, usage=told)]
    budget, book = BoundedBudget(Limits(max_tokens=5_000, max_cost=1), "workflow"), Book()
    output = await harness.output({"prompt": "?"}, remote(server, models=PRICED), budget=budget, calls=book)
    assert output["usage"]["isEstimate"]
    used = usage_of(book.calls.values())
    assert 10 < used.prompt_tokens + used.completion_tokens == budget.shares()[0].used < 30


@pytest.mark.parametrize("place", ["/v1/chat/completions", "http://127.0.0.1:1/", "http://169.254.169.254/latest"])
async def test_nobody_is_led_elsewhere(harness: Harness, server: Server, place: str) -> None:
    server.answers = [reply(307, b"", location=place)]
    with pytest.raises(ModelFailed, match="answered 307"):
        await harness.run({"prompt": "?"}, remote(server))
    assert len(server.received) == 1


async def test_a_trickle_without_end_is_given_up(
    harness: Harness, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No silence is long enough for a timeout of the connection, and the agent has no time limit of its own."""
    monkeypatch.setattr("agents.llm.asking.MAX_ANSWER_SECONDS", 0.5)

    async def trickle(_request: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
        while not writer.is_closing():
            writer.write(b": ping\n\n")
            await writer.drain()
            await asyncio.sleep(0.01)

    server.answers = [trickle]
    book = Book()
    output = await harness.output({"prompt": "?"}, remote(server), fake({"text": "Here."}, priority=200), calls=book)
    assert output["text"] == "Here."
    assert next(iter(book.calls.values())).reason == "its answer took longer than 0.5 s"


LISTS: Any = (
    {"data": [{"id": 5}, {"id": None}, {}, "x"]},
    {"data": "x"},
    {"data": 7},
    [],
    "x",
    {"data": [{"id": "m" * 999}] * 999},
)


@pytest.mark.parametrize("listed", LISTS)
async def test_a_list_of_models_may_be_anything(harness: Harness, server: Server, listed: Any) -> None:
    server.answers = [json_reply(listed), said("OK")]
    try:
        output = await harness.output({"trial": True, "model": "m"}, remote(server))
    except ModelFailed as told:
        assert told.code == "PROVIDER_UNAVAILABLE"  # noqa: PT017 - some of them are refused
    else:
        assert len(output["models"]) <= 500
        assert all(len(name) <= 256 for name in output["models"])
