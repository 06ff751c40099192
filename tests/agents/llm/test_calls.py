"""What is put on record of each call: who was asked, what it came to, why it came to nothing."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal

import pytest

from agents.calls import Call, CallKind, CallStatus, usage_of
from agents.errors import BudgetExceeded
from agents.providers.budget import BoundedBudget
from agents.providers.provider import Price, ProviderModel
from agents.result import Usage
from agents.spec import Limits
from tests.agents.http_server import Server
from tests.agents.llm.conftest import Harness, fake, remote
from tests.agents.llm.test_executor import PRICED, Tools
from tests.fakes.openai_protocol import said, tokens

LLAMA = ProviderModel(name="llama3", price=Price(prompt=Decimal(1), completion=Decimal(2)), aliases=("m",))


@dataclass
class Book:
    """Remembers every call, and how it stood whenever one began."""

    calls: dict[int, Call] = field(default_factory=dict)
    standing: list[tuple[CallKind, CallStatus]] = field(default_factory=list)
    so_far: list[Callable[[], Call]] = field(default_factory=list)

    async def begin(self, so_far: Callable[[], Call]) -> int:
        self.standing.append((so_far().kind, so_far().status))
        self.so_far.append(so_far)
        return len(self.standing)

    def end(self, number: int, call: Call) -> None:
        assert number not in self.calls
        self.calls[number] = call

    def add(self, call: Call) -> None:
        self.calls[-len(self.calls) - 1] = call

    @property
    def shown(self) -> list[tuple[str | None, str | None, CallStatus]]:
        return [(call.provider, call.model, call.status) for call in self.calls.values()]


async def test_each_provider_that_was_asked_is_a_call_and_they_add_up(harness: Harness) -> None:
    cut = fake({"text": "half an answer", "cutAfterPieces": 2}, name="cut", priority=1, models=PRICED)
    up = fake({"text": "Whole.", "usage": {"promptTokens": 10, "completionTokens": 2}}, name="up", models=PRICED)
    book, budget = Book(), BoundedBudget(Limits(max_tokens=10_000), "workflow")
    output = await harness.output({"prompt": "Tell"}, cut, up, calls=book, budget=budget)
    assert book.shown == [("cut", "m", CallStatus.FAILED), ("up", "m", CallStatus.COMPLETED)]
    failed, answered = book.calls.values()
    assert (failed.code, failed.reason) == ("UNREACHABLE", "the connection broke, as the script says")
    assert failed.is_estimate
    assert (failed.prompt_tokens, failed.completion_tokens) == (5, 2), "what came before it was cut is paid too"
    assert (answered.prompt_tokens, answered.completion_tokens, answered.finish_reason) == (10, 2, "stop")
    assert not answered.is_estimate
    total = usage_of(book.calls.values())
    assert budget.shares()[0].used == total.prompt_tokens + total.completion_tokens
    assert output["usage"]["cost"] == pytest.approx(float(total.cost or 0))


async def test_another_model_answers_by_its_alias_at_its_own_price(harness: Harness) -> None:
    """The record says which one it was; a provider that neither offers nor replaces the model is not asked."""
    down = fake({"error": {"status": 503}}, name="first", priority=1, models=PRICED)
    other = fake({"text": "No."}, name="other", priority=2, models=(ProviderModel(name="x"),))
    local = fake(
        {"when": "late", "model": "llama3", "text": "Yes.", "usage": {"promptTokens": 1000, "completionTokens": 100}},
        name="local",
        priority=3,
        models=(LLAMA,),
    )
    book = Book()
    output = await harness.output({"prompt": "Was it late?"}, down, other, local, calls=book)
    assert (output["provider"], output["model"], output["text"]) == ("local", "llama3", "Yes.")
    assert output["usage"]["cost"] == 0.0012
    assert book.shown == [("first", "m", CallStatus.FAILED), ("local", "llama3", CallStatus.COMPLETED)]


async def test_any_model_may_have_a_stand_in(harness: Harness) -> None:
    stand_in = (ProviderModel(name="m"), ProviderModel(name="small", aliases=("*",)))
    for named, model in (("gpt-5", "small"), ("m", "m")):
        output = await harness.output({"prompt": "?", "model": named}, fake({"text": "x"}, models=stand_in))
        assert output["model"] == model


async def test_an_unknown_price_is_null_with_the_reason(harness: Harness, server: Server) -> None:
    server.answers = [said("x", usage=tokens(5, 1))]
    book = Book()
    await harness.run({"prompt": "?"}, remote(server), calls=book)
    (call,) = book.calls.values()
    assert (call.cost, call.prompt_tokens) == (None, 5)
    assert call.unpriced == "the price of 'm' at 'remote' is not known"


async def test_one_that_is_left_alone_is_told_as_not_asked(harness: Harness) -> None:
    harness.executor._circuits.failed("down", 300.0)
    book = Book()
    await harness.run({"prompt": "?"}, fake(name="down"), fake({"text": "x"}, name="up", priority=200), calls=book)
    skipped, answered = book.calls.values()
    assert (skipped.provider, skipped.status, skipped.usage) == ("down", CallStatus.SKIPPED, Usage())
    assert "is left alone for" in (skipped.reason or "")
    assert (answered.provider, answered.status) == ("up", CallStatus.COMPLETED)


async def test_a_tool_is_a_call_of_its_own(harness: Harness) -> None:
    asks = {"toolCalls": [{"name": name, "arguments": {"city": "Oslo" * 500}} for name in ("w", "nope")], "times": 1}
    book = Book()
    config = {"prompt": "Go", "tools": [{"agentId": "w", "name": "w"}]}
    await harness.run(
        config, fake({"when": "error", "text": "Fine."}, asks, models=PRICED), launcher=Tools(), calls=book
    )
    tools = {call.tool: call for call in book.calls.values() if call.kind is CallKind.TOOL}
    assert tools["w"].status is CallStatus.COMPLETED
    assert tools["w"].tool_agent_id == "w"
    assert tools["w"].nested == Usage(prompt_tokens=10, completion_tokens=5)
    assert tools["w"].usage == Usage(), "the models behind it have calls of their own"
    assert tools["w"].argument_bytes == 2012
    assert len(tools["w"].arguments or "") == 300
    assert (tools["nope"].status, tools["nope"].code) == (CallStatus.FAILED, "UNKNOWN_TOOL")
    assert book.standing[0] == (CallKind.MODEL, CallStatus.RUNNING), "on record before it is made"


async def test_what_is_beyond_a_round_is_noted_as_not_run(harness: Harness) -> None:
    book, asks = Book(), {"toolCalls": [{"name": "w"}] * 70, "times": 1}
    config = {"prompt": "Go", "tools": [{"agentId": "w", "name": "w"}]}
    await harness.run(config, fake(asks, {"text": "Enough."}), launcher=Tools(), calls=book)
    tools = [call.status for call in book.calls.values() if call.kind is CallKind.TOOL]
    assert (tools.count(CallStatus.COMPLETED), tools.count(CallStatus.SKIPPED)) == (64, 6)


async def test_a_call_counts_with_what_it_has_come_to_while_it_is_made(harness: Harness) -> None:
    """One whose answer comes at once may come to all that it may be, as far as nobody hears of it."""
    book, told = Book(), asyncio.Event()
    provider = fake({"text": "one two three", "pieceDelaySeconds": 600}, models=PRICED)
    run = asyncio.create_task(harness.run({"prompt": "Tell"}, provider, calls=book, tell_text=lambda _: told.set()))
    async with asyncio.timeout(30):
        await told.wait()
    assert (book.so_far[0]().prompt_tokens, book.so_far[0]().completion_tokens) == (5, 1)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert [call.status for call in book.calls.values()] == [CallStatus.CANCELLED]
    whole = fake({"text": "x", "delaySeconds": 600}, models=PRICED)
    run = asyncio.create_task(harness.run({"prompt": "Tell", "stream": False, "maxTokens": 77}, whole, calls=book))
    async with asyncio.timeout(30):
        while len(book.so_far) < 2:  # noqa: ASYNC110 - the book is a list
            await asyncio.sleep(0.01)
    assert book.so_far[1]().completion_tokens == 77
    assert book.so_far[1]().is_estimate
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)


async def test_a_call_that_is_not_made_is_no_call(harness: Harness) -> None:
    book = Book()
    with pytest.raises(BudgetExceeded):
        await harness.run({"prompt": "word " * 100}, fake(), limits={"max_tokens": 10}, calls=book)
    assert (book.calls, book.standing) == ({}, [])
