"""One run of an LLM agent: asks, runs the tools that the model calls, and has an answer repaired once."""

import asyncio
from typing import Any

from agents.context import SchemaCheck
from agents.errors import ModelFailed, OutputInvalid
from agents.llm.asking import Asking
from agents.llm.chat import Request
from agents.llm.collector import Answer
from agents.llm.config import LlmConfig
from agents.llm.structured import complaint, instruction, parsed
from agents.llm.toolbox import Toolbox
from agents.providers.budget import Budget


class Conversation:
    """Used once."""

    def __init__(
        self, config: LlmConfig, asking: Asking, toolbox: Toolbox, budget: Budget, check_schema: SchemaCheck
    ) -> None:
        self._config = config
        self._asking = asking
        self._toolbox = toolbox
        self._budget = budget
        self._check_schema = check_schema
        self._messages = first_messages(config)
        self._rounds = 0
        self._is_repaired = False

    async def output(self) -> dict[str, Any]:
        """What the record keeps, and what following steps see."""
        while True:
            answer = await self._asking.answer(self._request)
            _check_refusal(answer)
            if answer.calls:
                await self._run_tools(answer)
                continue
            if self._config.response_schema is None:
                return self._output(answer, {})
            value, problems = await asyncio.to_thread(
                parsed, answer.text, self._config.response_schema, self._check_schema
            )
            if not problems:
                return self._output(answer, {"data": value})
            self._complain(answer, problems)

    @property
    def _request(self) -> Request:
        config = self._config
        return Request(
            model=config.model,
            messages=tuple(self._messages),
            temperature=config.temperature,
            max_tokens=config.max_tokens,
            response_schema=config.response_schema,
            tools=self._toolbox.offered,
            stream=config.stream,
        )

    async def _run_tools(self, answer: Answer) -> None:
        self._rounds += 1
        if self._rounds > self._config.max_tool_rounds:
            raise ModelFailed(
                f"The model called tools {self._rounds} times in a row without answering",
                code="TOOL_ROUNDS",
                hint="raise `maxToolRounds`, or say in the prompt when to stop",
                details={"toolCalls": self._toolbox.calls[-20:]},
            )
        calls = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in answer.calls
        ]
        self._messages.append({"role": "assistant", "content": answer.text or None, "tool_calls": calls})
        self._messages += await self._toolbox.messages(answer.calls)

    def _complain(self, answer: Answer, problems: list[str]) -> None:
        if self._is_repaired:
            hint = "raise `maxTokens`: the answer was cut" if answer.finish_reason == "length" else None
            told = "; ".join(problems[:5])
            raise OutputInvalid(f"The answer does not fit `responseSchema`, twice: {told}", hint=hint)
        self._is_repaired = True
        self._messages.append({"role": "assistant", "content": answer.text})
        self._messages.append({"role": "user", "content": complaint(problems)})

    def _output(self, answer: Answer, data: dict[str, Any]) -> dict[str, Any]:
        account = self._asking.account
        usage = account.usage
        return {
            "text": answer.text,
            **data,
            "provider": answer.provider.name,
            "model": answer.model,
            "finishReason": answer.finish_reason,
            "usage": {
                "promptTokens": usage.prompt_tokens,
                "completionTokens": usage.completion_tokens,
                "cachedTokens": account.cached_tokens,
                "cost": None if usage.cost is None else float(usage.cost),
                "isEstimate": account.is_estimate,
                "priceKnown": usage.cost is not None,
            },
            "limits": [share.shown() for share in self._budget.shares()],
            "failures": self._asking.failures,
            "calls": account.calls,
            "toolCalls": self._toolbox.calls,
            "repaired": self._is_repaired,
        }


def first_messages(config: LlmConfig) -> list[dict[str, Any]]:
    """What is sent at first: the system's part, what was said before, the prompt."""
    system = [config.system_prompt] if config.system_prompt else []
    if config.response_schema is not None:
        system.append(instruction(config.response_schema))
    messages: list[dict[str, Any]] = [{"role": "system", "content": "\n\n".join(system)}] if system else []
    messages += [message.model_dump() for message in config.messages]
    return [*messages, {"role": "user", "content": config.prompt}] if config.prompt else messages


def _check_refusal(answer: Answer) -> None:
    if answer.refusal or answer.finish_reason == "content_filter":
        reason = answer.refusal[:500] or "its provider's filter stopped the answer"
        raise ModelFailed(f"The model refused to answer: {reason}", code="MODEL_REFUSED")
