"""Runs LLM agents."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from agents.context import AgentContext, Log
from agents.egress.guard import Resolver, resolve
from agents.egress.policy import EgressPolicy
from agents.egress.transports import Transports
from agents.errors import AgentError, AgentTimeout, ModelFailed
from agents.llm.asking import Asking
from agents.llm.chat import Chat
from agents.llm.circuit import Circuits
from agents.llm.config import LlmConfig, read_config
from agents.llm.conversation import Conversation
from agents.llm.fake import FakeChat
from agents.llm.openai_chat import OpenAiChat
from agents.llm.selection import chosen
from agents.llm.toolbox import Toolbox
from agents.llm.trial import is_trial, listed, question
from agents.masking import Masking
from agents.providers.budget import BoundedBudget
from agents.providers.provider import Provider, ProviderKind
from agents.result import AgentResult
from agents.spec import AgentSpec


class LlmExecutor:
    """Keeps connections, and which providers are left alone for now."""

    def __init__(self, resolver: Resolver = resolve, circuits: Circuits | None = None) -> None:
        self._transports = Transports(resolver)
        self._circuits = circuits or Circuits()

    async def run(self, spec: AgentSpec, inputs: dict[str, Any], context: AgentContext) -> AgentResult:
        """`inputs` have gone into the config already. What is used is told to the budget, however the run ends."""
        masking = Masking()
        budget = BoundedBudget(spec.limits, "agent", outer=context.budget)
        limit = context.limits.timeout_seconds
        try:
            async with asyncio.timeout(limit):
                if is_trial(spec.config):
                    output = await self._tried(spec.config.get("model"), context, budget, masking)
                else:
                    output = await self._output(read_config(spec.config), context, budget, masking)
        except TimeoutError:
            shares = [share.shown() for share in budget.shares()]
            message = f"the model took longer than its limit of {limit:g} s; raise the agent's `timeoutSeconds`"
            raise AgentTimeout(message, details={"timeoutSeconds": limit, "limits": shares}) from None
        except AgentError as error:
            raise _masked(error, masking) from None
        return AgentResult(output=masking.json(output))

    async def _tried(
        self, wanted: str | None, context: AgentContext, budget: BoundedBudget, masking: Masking
    ) -> dict[str, Any]:
        """The first provider's models, and its answer to a tiny question."""
        for provider in await context.providers.usable():
            for secret in provider.secrets:
                masking.add(secret)
            models = await listed(provider, _Chats(self._transports, context.egress).get(provider))
            asked = time.monotonic()
            output = await self._output(question(provider, wanted, models), context, budget, masking)
            return {**output, "models": models, "latencyMs": round((time.monotonic() - asked) * 1000)}
        raise ModelFailed("There is no such provider any more", code="NO_PROVIDER")

    async def aclose(self) -> None:
        """Closes the connections of the running event loop."""
        await self._transports.aclose()

    async def _output(
        self, config: LlmConfig, context: AgentContext, budget: BoundedBudget, masking: Masking
    ) -> dict[str, Any]:
        providers = chosen(await context.providers.usable(), config)
        for provider in providers:
            for secret in provider.secrets:
                masking.add(secret)
        log = _masked_log(context.log, masking)
        asking = Asking(
            providers,
            chat_of=_Chats(self._transports, context.egress).get,
            circuits=self._circuits,
            budget=budget,
            log=log,
            tell_text=context.tell_text if config.stream else _untold,
            calls=context.calls,
        )
        toolbox = Toolbox(config.tools, context.launcher, budget, log, context.calls)
        output = await Conversation(config, asking, toolbox, budget, context.check_schema).output()
        _tell_end(log, output, providers)
        return output


class _Chats:
    """The clients of one run, each made when it is first needed."""

    def __init__(self, transports: Transports, policy: EgressPolicy) -> None:
        self._transports = transports
        self._policy = policy
        self._made: dict[str, Chat] = {}

    def get(self, provider: Provider) -> Chat:
        """The provider's."""
        if provider.id not in self._made:
            self._made[provider.id] = self._chat(provider)
        return self._made[provider.id]

    def _chat(self, provider: Provider) -> Chat:
        if provider.kind is ProviderKind.FAKE:
            return FakeChat(provider.name, provider.script)
        return OpenAiChat(provider, self._transports.get(self._policy))


def _untold(_text: str) -> None:
    """Where `stream` is off."""


def _tell_end(log: Log, output: dict[str, Any], providers: Sequence[Provider]) -> None:
    usage = output["usage"]
    tokens = f"{usage['promptTokens']:,} + {usage['completionTokens']:,} tokens"
    cost = f"{usage['cost']:.8f} USD" if usage["priceKnown"] else "at a price that is not known"
    log("INFO", f"{output['provider']} answered with {output['model']}: {tokens}, {cost}", usage=usage)
    if not usage["priceKnown"]:
        hint = "add the model's price to the provider to have it counted"
        log("WARN", f"What {output['model']} costs is not known, so the cost of this run is null; {hint}")
    for share in output["limits"]:
        log("INFO", f"{share['percent']} % of the {share['of']}'s {share['limit']} is used", **share)


def _masked_log(log: Log, masking: Masking) -> Log:
    def masked(level: str, message: str, **metadata: Any) -> None:
        log(level, masking(message), **masking.json(metadata))

    return masked


def _masked(error: AgentError, masking: Masking) -> AgentError:
    if not masking.is_needed:
        return error
    details = masking.json(error.details)
    return type(error)(masking(error.message), code=error.code, path=error.path, hint=error.hint, details=details)
