"""Runs what a model asks for: other agents, each under this agent's limits. What goes wrong is told to the model."""

import asyncio
import json
import re
import time
from collections.abc import Sequence
from typing import Any

from agents.calls import Call, CallBook, CallKind, CallStatus
from agents.context import Launcher, Log
from agents.errors import AgentError, BudgetExceeded, ConfigInvalid
from agents.llm.chat import Offered
from agents.llm.collector import ToolCall
from agents.llm.config import Tool
from agents.llm.structured import strict_json
from agents.providers.budget import Budget, CountedBudget
from agents.result import Usage

AT_ONCE = 4
MAX_CALLS = 64
"""Of one round; what is beyond is not run."""
MAX_RESULT_CHARACTERS = 64 * 1024
SHOWN_CHARACTERS = 2_000
PREVIEW_CHARACTERS = 300
"""Of arguments and errors, in the record of the call."""


class Toolbox:
    """The tools of one run."""

    def __init__(self, tools: Sequence[Tool], launcher: Launcher, budget: Budget, log: Log, book: CallBook) -> None:
        self._launcher = launcher
        self._budget = budget
        self._log = log
        self._book = book
        self._agents: dict[str, str] = {}
        self.offered = tuple(self._offer(tool) for tool in tools)
        self.calls: list[dict[str, Any]] = []
        """What was run, as the record keeps it."""

    async def messages(self, calls: Sequence[ToolCall]) -> list[dict[str, Any]]:
        """One message for each call, in their order. Raises `BudgetExceeded`: there is nothing left to go on with."""
        slots = asyncio.Semaphore(AT_ONCE)
        tasks = [
            asyncio.create_task(self._message(call, slots, number < MAX_CALLS)) for number, call in enumerate(calls)
        ]
        try:
            return await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _offer(self, tool: Tool) -> Offered:
        agent = self._launcher.agent(tool.agent_id)
        name = tool.name or _as_name(agent.name)
        if name in self._agents:
            raise ConfigInvalid(f"two tools are called `{name}`; give them a `name` of their own", path="tools")
        self._agents[name] = tool.agent_id
        parameters = agent.input_schema or {"type": "object", "properties": {}}
        return Offered(name=name, description=tool.description or agent.name, parameters=parameters)

    async def _message(self, call: ToolCall, slots: asyncio.Semaphore, is_run: bool) -> dict[str, Any]:
        async with slots:
            started = time.monotonic()
            record: dict[str, Any] = {"name": call.name, "arguments": call.arguments[:SHOWN_CHARACTERS], "ok": True}
            try:
                if not is_run:
                    self._book.add(_ToolCall(call, self._agents.get(call.name)).ended(CallStatus.SKIPPED))
                    raise AgentError(f"at most {MAX_CALLS} tools are run at once", code="TOO_MANY_CALLS")
                content = await asyncio.to_thread(_shown, await self._recorded(call))
            except BudgetExceeded:
                raise
            except AgentError as error:
                record |= {"ok": False, "code": error.code}
                content = json.dumps({"error": {"code": error.code, "message": error.message}})
        record["durationMs"] = round((time.monotonic() - started) * 1000)
        self.calls.append(record)
        self._log("INFO" if record["ok"] else "WARN", f"The model called the tool `{call.name[:64]}`", **record)
        return {"role": "tool", "tool_call_id": call.id, "content": content}

    async def _recorded(self, call: ToolCall) -> Any:
        shown = _ToolCall(call, self._agents.get(call.name))
        number = await self._book.begin(shown.so_far)
        try:
            output = await self._output(call, CountedBudget(self._budget, shown.add))
        except BaseException as error:
            self._book.end(number, shown.failed(error))
            raise
        self._book.end(number, shown.ended(CallStatus.COMPLETED))
        return output

    async def _output(self, call: ToolCall, budget: Budget) -> Any:
        agent_id = self._agents.get(call.name)
        if agent_id is None:
            message = f"there is no tool `{call.name[:64]}`; there are: {', '.join(self._agents)}"
            raise AgentError(message, code="UNKNOWN_TOOL")
        try:
            arguments = await asyncio.to_thread(strict_json, call.arguments or "{}")
        except (ValueError, RecursionError):
            raise AgentError("the arguments are no JSON", code="BAD_ARGUMENTS") from None
        if not isinstance(arguments, dict):
            raise AgentError("the arguments are no JSON object", code="BAD_ARGUMENTS")
        return (await self._launcher.run(agent_id, arguments, budget)).output


class _ToolCall:
    """A call as the record of its step shows it."""

    def __init__(self, call: ToolCall, agent_id: str | None) -> None:
        size = len(call.arguments.encode(errors="replace"))
        self._content = Call(
            kind=CallKind.TOOL,
            tool=call.name[:64],
            tool_agent_id=agent_id,
            arguments=call.arguments[:PREVIEW_CHARACTERS],
            argument_bytes=size,
        )
        self._nested = Usage()

    def add(self, usage: Usage) -> None:
        """So much more was used by what it runs."""
        self._nested = self._nested + usage

    def so_far(self) -> Call:
        """What it has come to until now."""
        return self.ended(CallStatus.RUNNING)

    def ended(self, status: CallStatus, **outcome: str) -> Call:
        """What it has come to."""
        return self._content.model_copy(update={"status": status, "nested": self._nested, **outcome})

    def failed(self, error: BaseException) -> Call:
        """And why it came to nothing."""
        if isinstance(error, AgentError):
            return self.ended(CallStatus.FAILED, code=error.code, reason=error.message[:PREVIEW_CHARACTERS])
        status = CallStatus.CANCELLED if isinstance(error, asyncio.CancelledError) else CallStatus.FAILED
        return self.ended(status)


def _as_name(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_")[:64] or "tool"


def _shown(output: Any) -> str:
    text = json.dumps(output)
    return text if len(text) <= MAX_RESULT_CHARACTERS else f"{text[:MAX_RESULT_CHARACTERS]} … (cut)"
