"""What a provider's calls are counted with: the tenant's own prices before those of the shipped catalogue."""

from agents.providers.pricing import CATALOGUE, price_of
from agents.providers.provider import Provider, ProviderKind, ProviderModel
from platform_api.db.models import LlmProvider
from platform_api.resources.llm_providers.schemas import PriceSource, PriceView


def described(provider: LlmProvider) -> Provider:
    """The provider as executors know it, without its credentials."""
    return Provider(
        id=str(provider.id),
        name=provider.name,
        kind=provider.kind,
        base_url=provider.base_url,
        models=tuple(map(ProviderModel.model_validate, provider.models)),
        priority=provider.priority,
        script=provider.script,
    )


def price_views(provider: LlmProvider) -> list[PriceView]:
    """Of the models that the provider names, or of those that its vendor is known to offer."""
    known = described(provider)
    names = [model.name for model in known.models] or list(CATALOGUE.models(known.kind))
    return [_view(known, name) for name in names]


def _view(provider: Provider, name: str) -> PriceView:
    price = price_of(provider, name)
    if price is None:
        return PriceView(model=name, prompt=None, completion=None, cached=None, source=None, as_of=None)
    source = _source(provider, name)
    return PriceView(
        model=name,
        prompt=float(price.prompt),
        completion=float(price.completion),
        cached=None if price.cached is None else float(price.cached),
        source=source,
        as_of=CATALOGUE.as_of if source is PriceSource.CATALOGUE else None,
    )


def _source(provider: Provider, name: str) -> PriceSource:
    if any(model.name == name and model.price is not None for model in provider.models):
        return PriceSource.OWN
    return PriceSource.FAKE if provider.kind is ProviderKind.FAKE else PriceSource.CATALOGUE
