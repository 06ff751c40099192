"""Which of a tenant's providers are asked for a model, and in which order."""

from collections.abc import Sequence

from agents.errors import ModelFailed
from agents.llm.config import LlmConfig
from agents.providers.pricing import CATALOGUE
from agents.providers.provider import Provider


def chosen(providers: Sequence[Provider], config: LlmConfig) -> list[Provider]:
    """By priority, then by name; the one that the config names alone. Raises `ModelFailed` with NO_PROVIDER.

    One that has another model answer takes its turn like the others: the tenant has said that it does as well.
    """
    if not providers:
        hint = "add one (`POST /llm-providers`); one of kind FAKE needs neither a key nor a network"
        raise ModelFailed("There is no active provider of models", code="NO_PROVIDER", hint=hint)
    if config.provider is not None:
        return [_named(providers, config.provider)]
    offering = [provider for provider in providers if _offers(provider, config.model)]
    if not offering:
        names = ", ".join(provider.name for provider in providers)
        hint = "add the model to one of them, or name another model"
        message = f"None of the active providers ({names}) offers the model {config.model!r}"
        raise ModelFailed(message, code="NO_PROVIDER", hint=hint)
    return sorted(offering, key=lambda provider: (provider.priority, provider.name))


def _named(providers: Sequence[Provider], name: str) -> Provider:
    for provider in providers:
        if provider.name == name:
            return provider
    names = ", ".join(sorted(provider.name for provider in providers))
    raise ModelFailed(f"There is no active provider {name!r}; there are: {names}", code="NO_PROVIDER", path="provider")


def _offers(provider: Provider, model: str) -> bool:
    """A provider that lists no models offers any, but for those that are known to be another vendor's."""
    if provider.models:
        return provider.answering(model) is not None
    vendors = CATALOGUE.kinds_of(model)
    return not vendors or provider.kind in vendors or not CATALOGUE.models(provider.kind)
