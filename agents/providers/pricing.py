"""What tokens cost: the provider's own prices, then those of the shipped catalogue (`prices.json`, with its date)."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from importlib.resources import files
from urllib.parse import urlsplit

from agents.providers.provider import DEFAULT_BASE_URLS, Price, Provider, ProviderKind
from agents.result import Usage

MILLION = Decimal(1_000_000)
FREE = Price(prompt=Decimal(0), completion=Decimal(0))

_SNAPSHOT = re.compile(r"-(\d{8}|\d{4}-\d{2}-\d{2})\Z")
"""How vendors name one state of a model, which costs as much as the model does."""


@dataclass(frozen=True, kw_only=True)
class _Vendor:
    kinds: frozenset[ProviderKind]
    hosts: frozenset[str]
    models: Mapping[str, Price]

    def price(self, model: str) -> Price | None:
        return self.models.get(model) or self.models.get(_SNAPSHOT.sub("", model))


@dataclass(frozen=True, kw_only=True)
class Catalogue:
    """Prices as vendors told them on a certain day. A model that is not in it has no price, which is not the same as
    none."""

    as_of: date
    vendors: tuple[_Vendor, ...]

    def price(self, kind: ProviderKind, base_url: str | None, model: str) -> Price | None:
        """The price of a model where it is asked for; compatible providers are known by the host of their URL.

        A kind's own prices hold at its vendor's address alone: a gateway elsewhere has its own.
        """
        host = (urlsplit(base_url or DEFAULT_BASE_URLS.get(kind, "")).hostname or "").lower()
        for vendor in self.vendors:
            if host in vendor.hosts:
                return vendor.price(model)
        return None

    def kinds_of(self, model: str) -> frozenset[ProviderKind]:
        """Whose model it is known to be, by kind; none for what is in no list."""
        return frozenset(kind for vendor in self.vendors if vendor.price(model) for kind in vendor.kinds)

    def models(self, kind: ProviderKind) -> Mapping[str, Price]:
        """What the vendor of a kind offers, to start a provider's list from."""
        return next((vendor.models for vendor in self.vendors if kind in vendor.kinds), {})


def _read() -> Catalogue:
    text = files("agents.providers").joinpath("prices.json").read_text(encoding="utf-8")
    document = json.loads(text, parse_float=Decimal)
    vendors = (
        _Vendor(
            kinds=frozenset(map(ProviderKind, vendor["kinds"])),
            hosts=frozenset(vendor["hosts"]),
            models={name: Price.model_validate(price) for name, price in vendor["models"].items()},
        )
        for vendor in document["vendors"]
    )
    return Catalogue(as_of=date.fromisoformat(document["asOf"]), vendors=tuple(vendors))


CATALOGUE = _read()


def price_of(provider: Provider, model: str) -> Price | None:
    """What the model costs there; None when nobody knows. FAKE models are free unless a price is set."""
    own = next((each.price for each in provider.models if each.name == model), None)
    if own is not None:
        return own
    return FREE if provider.kind is ProviderKind.FAKE else CATALOGUE.price(provider.kind, provider.base_url, model)


def cost_of(
    price: Price | None, *, prompt_tokens: int, completion_tokens: int, cached_tokens: int = 0
) -> Decimal | None:
    """USD, exact; None without a price. `cached_tokens` are among the prompt's."""
    if price is None:
        return None
    cached_price = price.prompt if price.cached is None else price.cached
    fresh = prompt_tokens - cached_tokens
    return (fresh * price.prompt + cached_tokens * cached_price + completion_tokens * price.completion) / MILLION


def used(price: Price | None, *, prompt_tokens: int, completion_tokens: int, cached_tokens: int = 0) -> Usage:
    """Tokens with what they cost."""
    cost = cost_of(price, prompt_tokens=prompt_tokens, completion_tokens=completion_tokens, cached_tokens=cached_tokens)
    return Usage(prompt_tokens=prompt_tokens, completion_tokens=completion_tokens, cost=cost)
