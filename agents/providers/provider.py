"""A tenant's account at somebody who runs models, as executors are handed it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class ProviderKind(StrEnum):
    """Which protocol a provider speaks. FAKE speaks none: its answers are scripted and nothing leaves the process."""

    OPENAI = "OPENAI"
    ANTHROPIC = "ANTHROPIC"
    OPENAI_COMPATIBLE = "OPENAI_COMPATIBLE"
    FAKE = "FAKE"


DEFAULT_BASE_URLS: Mapping[ProviderKind, str] = {
    ProviderKind.OPENAI: "https://api.openai.com/v1",
    ProviderKind.ANTHROPIC: "https://api.anthropic.com/v1",
}
"""Where a provider without a `baseUrl` is found; the other kinds need one, or none at all."""


class Price(BaseModel):
    """USD per million tokens. Tokens read from the provider's cache cost as much as others unless it is said."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)

    prompt: Decimal = Field(ge=0, le=1_000_000)
    completion: Decimal = Field(ge=0, le=1_000_000)
    cached: Decimal | None = Field(default=None, ge=0, le=1_000_000)


ANY_MODEL = "*"
"""Among a model's aliases: it answers for every model that its provider does not offer."""


class ProviderModel(BaseModel):
    """A model that a provider offers. Without a `price` that of the shipped catalogue holds, where it knows one."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)

    name: str = Field(min_length=1, max_length=200)
    price: Price | None = None
    aliases: tuple[str, ...] = ()
    """Models that agents name and that this one answers for here; `*` is whichever the provider does not offer."""


_SOUNDS_SECRET = re.compile(r"auth|cookie|token|secret|key|password|signature", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Provider:
    """One of them, with its credentials opened: made inside the worker alone, and never recorded."""

    id: str
    name: str
    kind: ProviderKind
    base_url: str | None = None
    api_key: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Sent with each request beside the key; those whose names sound like it are secret too."""
    models: tuple[ProviderModel, ...] = ()
    """Empty: whatever model an agent names is asked for there."""
    priority: int = 100
    """Lower ones are asked first."""
    script: Mapping[str, Any] = field(default_factory=dict)
    """What a FAKE one answers; see `agents.llm.fake`."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not appear in anything that is recorded: a version or a team's name may."""
        named = [value for name, value in self.headers.items() if _SOUNDS_SECRET.search(name)]
        words = [value.rpartition(" ")[2] for value in named]
        return tuple(value for value in (self.api_key, *named, *words) if value)

    def answering(self, model: str) -> str | None:
        """The model that is asked for here when an agent names that one; None where none answers for it."""
        if not self.models or any(each.name == model for each in self.models):
            return model
        answering = {alias: each.name for each in self.models for alias in each.aliases}
        return answering.get(model) or answering.get(ANY_MODEL)


class Providers(Protocol):
    """Whose models an agent may use."""

    async def usable(self) -> Sequence[Provider]:
        """The tenant's active providers, by priority. Raises `AgentError` when credentials cannot be opened."""
        ...


class NoProviders:
    """Where nobody runs models."""

    async def usable(self) -> Sequence[Provider]:
        """None."""
        return ()
