"""What clients send and get about LLM providers: keys only come in."""

from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import ConfigDict, Field, SecretStr, StringConstraints, field_validator
from pydantic.alias_generators import to_camel

from agents.providers.provider import ProviderKind
from platform_api.kit.fields import JsonObject, Name, Version
from platform_api.kit.filters import Filters
from platform_api.kit.schemas import Body, UtcTime, View

MASK = "********"
"""Shown in the place of credentials; sent back it changes nothing."""

BaseUrl = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]
HeaderName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$", max_length=200)]
Hidden = Annotated[SecretStr, Field(min_length=1, max_length=10_000, description="never shown again")]
Price = Annotated[float, Field(ge=0, le=1_000_000, description="USD per million tokens")]
Priority = Annotated[int, Field(ge=0, le=1000, description="lower ones are asked first")]


class PriceFields(Body):
    """What a model costs, in USD per million tokens."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, populate_by_name=True, allow_inf_nan=False)

    prompt: Price
    completion: Price
    cached: Price | None = Field(
        default=None, description="of prompt tokens from the provider's cache; null: as others"
    )


ModelName = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
Aliases = Annotated[
    list[ModelName],
    Field(
        max_length=100,
        description="models that agents name and that this one answers for here; `*`: whichever is not offered",
    ),
]


class ModelFields(Body):
    """A model that a provider offers. Without a price that of the shipped catalogue holds, where it knows one."""

    name: ModelName
    price: PriceFields | None = None
    aliases: Aliases = Field(default_factory=list)


class Credentials(Body):
    """What a provider wants to be shown; replaced as a whole."""

    api_key: Hidden | None = None
    headers: dict[HeaderName, Hidden] = Field(default_factory=dict, max_length=20, description="sent beside the key")

    @field_validator("api_key", "headers")
    @classmethod
    def _sendable(cls, value: Any) -> Any:
        """What no HTTP header can hold would only fail in the worker, with the value in its error."""
        for each in value.values() if isinstance(value, dict) else (value,):
            text = each.get_secret_value() if each is not None else ""
            if not (text.isascii() and text.isprintable()):
                raise ValueError("takes printable ASCII characters alone")
        return value


Models = Annotated[list[ModelFields], Field(max_length=500)]


def _each_once(models: list[ModelFields]) -> list[ModelFields]:
    if len({model.name for model in models}) < len(models):
        raise ValueError("each model stands here once")
    names = [name for model in models for name in (model.name, *model.aliases)]
    if len(set(names)) < len(names):
        raise ValueError("an alias stands at one model, and is no other one's name")
    return models


class LlmProviderCreate(Body):
    """A new provider. OPENAI and ANTHROPIC know their own address; OPENAI_COMPATIBLE needs one, FAKE takes none."""

    name: Name
    kind: ProviderKind
    base_url: BaseUrl | None = None
    credentials: Credentials | None = None
    models: Models = Field(default_factory=list, description="empty: it is asked for whatever model an agent names")
    script: JsonObject = Field(default_factory=dict, description="what a FAKE provider answers")
    priority: Priority = 100
    is_active: bool = Field(default=True, description="whether runs may ask it")

    _once = field_validator("models")(_each_once)


class LlmProviderUpdate(Body):
    """Changes to a provider: what is left out stays. The defaults below are never stored."""

    name: Name = Field(default_factory=str)
    kind: ProviderKind | None = Field(default=None, description="cannot change; accepted when it is the same")
    base_url: BaseUrl | None = Field(default=None, description="another address needs its credentials in the same body")
    credentials: Credentials | Literal["********"] | None = Field(
        default=None, description="replaces them; null takes them away, the mask leaves them"
    )
    models: Models = Field(default_factory=list)
    script: JsonObject = Field(default_factory=dict)
    priority: Priority = Field(default_factory=int)
    is_active: bool = Field(default_factory=bool)
    version: Version | None = None

    _once = field_validator("models")(_each_once)


class ProviderFilters(Filters):
    """What a list of providers is narrowed to."""

    kind: ProviderKind | None = Field(default=None, description="which protocol they speak")
    is_active: bool | None = Field(default=None, description="whether runs may ask them")


class PriceSource(StrEnum):
    """Who says what a model costs: the tenant, the catalogue that is shipped with the platform, or nobody has to."""

    OWN = "OWN"
    CATALOGUE = "CATALOGUE"
    FAKE = "FAKE"


class PriceView(View):
    """What a model costs as its calls are counted now. Where nobody knows, all of it is null and so is their cost."""

    model: str
    prompt: float | None
    completion: float | None
    cached: float | None
    source: PriceSource | None
    as_of: date | None = Field(description="the day on which the catalogue's price was true")


class LlmProviderState(View):
    """What an entry of the audit log keeps of a provider."""

    name: str
    kind: ProviderKind
    base_url: str | None
    models: list[dict[str, Any]]
    script: dict[str, Any]
    priority: int
    is_active: bool


class ModelView(View):
    """A model with the tenant's own price, and the models that it answers for beside its own name."""

    name: str
    price: PriceFields | None = None
    aliases: list[str] = Field(default_factory=list)


class LlmProviderView(View):
    """A provider as it stands."""

    id: UUID
    name: str
    kind: ProviderKind
    base_url: str | None
    credentials: Literal["********"] | None = Field(description="the mask where there are any", examples=[MASK])
    models: list[ModelView]
    prices: list[PriceView] = Field(description="what calls are counted with, own prices and the catalogue's")
    script: dict[str, Any]
    priority: int
    is_active: bool
    version: int
    created_at: UtcTime
    updated_at: UtcTime


def exact(amount: float | None) -> Decimal | None:
    """The decimal number as it was written, not the binary one nearest to it."""
    return None if amount is None else Decimal(str(amount))
