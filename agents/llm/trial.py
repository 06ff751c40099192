"""Tries a provider out: which models it says that it has, and a tiny question to one of them.

Asked for by a config that no saved agent can have: `{"trial": true, "model": …}`.
"""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from agents.errors import ModelFailed
from agents.llm.chat import Chat, Unreachable
from agents.llm.config import LlmConfig
from agents.providers.pricing import CATALOGUE
from agents.providers.provider import Provider

PROMPT = "Answer with the word OK and nothing else."
ANSWER_TOKENS = 512
"""Models that think before they answer need some for that."""
_UNLISTED = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED})


def is_trial(config: Mapping[str, Any]) -> bool:
    """Whether the config asks for a trial."""
    return config.get("trial") is True


async def listed(provider: Provider, chat: Chat) -> list[str] | None:
    """What it says that it has; None where it has no such list. Raises `ModelFailed` when it does not answer."""
    try:
        return await chat.models()
    except Unreachable as failure:
        message = f"The provider {provider.name!r} did not answer: {failure.reason}"
        hint = "check its `baseUrl`, and whether it runs; else try again later"
        raise ModelFailed(message, code="PROVIDER_UNAVAILABLE", hint=hint) from None
    except ModelFailed as refused:
        if refused.details.get("status") in _UNLISTED:
            return None
        raise


def question(provider: Provider, wanted: str | None, models: Sequence[str] | None) -> LlmConfig:
    """To the model that is wanted, else the first that the provider's owner, its vendor or it itself names."""
    own, known = [model.name for model in provider.models], CATALOGUE.models(provider.kind)
    among = [model for model in known if models is None or model in models]
    model = next(iter((*([wanted] if wanted else []), *own, *among, *(models or []))), None)
    if model is None:
        hint = "send a `model`, or add one to the provider's `models`"
        raise ModelFailed("Nobody knows which model to ask", code="MODEL_ERROR", hint=hint)
    return LlmConfig(provider=provider.name, model=model, prompt=PROMPT, max_tokens=ANSWER_TOKENS, stream=False)
