"""What tokens cost: own prices before the catalogue's, nothing made up, sums exact."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.providers.pricing import CATALOGUE, cost_of, price_of, used
from agents.providers.provider import Price, Provider, ProviderKind, ProviderModel
from agents.result import Usage


def provider(kind: str, base_url: str | None = None, **models: Price) -> Provider:
    listed = tuple(ProviderModel(name=name, price=price) for name, price in models.items())
    return Provider(id="p", name="p", kind=ProviderKind(kind), base_url=base_url, models=listed)


def price(prompt: str, completion: str, cached: str | None = None) -> Price:
    return Price(
        prompt=Decimal(prompt), completion=Decimal(completion), cached=Decimal(cached) if cached is not None else None
    )


@pytest.mark.parametrize("model", ["claude-sonnet-4-5", "claude-sonnet-4-5-20250929"])
def test_the_catalogue_knows_a_model_and_its_dated_states(model: str) -> None:
    assert price_of(provider("ANTHROPIC"), model) == price("3", "15", "0.3")


@pytest.mark.parametrize(
    ("asked", "model"),
    [
        (provider("ANTHROPIC"), "claude-sonnet-99"),
        (provider("OPENAI"), "claude-sonnet-4-5"),
        (provider("OPENAI", "https://gateway.example.com/v1"), "gpt-4o"),
        (provider("OPENAI_COMPATIBLE", "http://vllm.internal/v1"), "gpt-4o"),
    ],
)
def test_a_price_that_nobody_knows_is_none(asked: Provider, model: str) -> None:
    found = price_of(asked, model)
    assert found is None
    assert used(found, prompt_tokens=5, completion_tokens=5).cost is None


def test_own_prices_go_first_and_compatible_vendors_are_known_by_their_host() -> None:
    assert price_of(provider("OPENAI", **{"gpt-4o": price("1", "2")}), "gpt-4o") == price("1", "2")
    google = provider("OPENAI_COMPATIBLE", "https://generativelanguage.googleapis.com/v1beta/openai/")
    assert price_of(google, "gemini-2.5-flash") == price("0.3", "2.5")
    assert price_of(provider("FAKE"), "anything") == price("0", "0")


def test_cached_tokens_have_their_own_price() -> None:
    known = price("3", "15", "0.3")
    assert cost_of(known, prompt_tokens=1000, completion_tokens=100, cached_tokens=900) == Decimal("0.00207")
    assert cost_of(price("3", "15"), prompt_tokens=1000, completion_tokens=0, cached_tokens=900) == Decimal("0.003")


def test_the_catalogue_is_what_it_says() -> None:
    """As a person edits it: its day, its unit, no price of nothing, no cache dearer than what it saves."""
    document = json.loads(files("agents.providers").joinpath("prices.json").read_text(), parse_float=Decimal)
    assert set(document) == {"asOf", "currency", "per", "vendors"}
    assert date(2025, 1, 1) <= date.fromisoformat(document["asOf"]) <= datetime.now(UTC).date()
    assert (document["currency"], document["per"]) == ("USD", "million tokens")
    hosts = [host for vendor in document["vendors"] for host in vendor["hosts"]]
    kinds = [kind for vendor in document["vendors"] for kind in vendor["kinds"]]
    assert len(set(hosts)) == len(hosts)
    assert len(set(kinds)) == len(kinds)
    assert all(host == host.lower() and "/" not in host for host in hosts)
    for vendor in document["vendors"]:
        assert set(vendor) == {"name", "kinds", "hosts", "models"}
        for name, listed in vendor["models"].items():
            assert set(listed) <= {"prompt", "completion", "cached"}, name
            assert 0 < listed["prompt"] <= listed["completion"] < 1_000, name
            assert 0 < listed.get("cached", listed["prompt"]) <= listed["prompt"], name


def test_the_catalogue_says_when_it_was_true() -> None:
    assert CATALOGUE.as_of.year >= 2025
    assert "claude-sonnet-4-5" in CATALOGUE.models(ProviderKind.ANTHROPIC)
    assert CATALOGUE.models(ProviderKind.FAKE) == {}


TOKENS = st.lists(st.tuples(st.integers(0, 10**7), st.integers(0, 10**6), st.integers(0, 10**7)), max_size=30)
PRICES = st.builds(price, *[st.decimals(0, 1000, places=4).map(str)] * 3)


@given(TOKENS, PRICES)
def test_the_cost_of_calls_is_the_cost_of_their_sum(calls: list[tuple[int, int, int]], known: Price) -> None:
    total = Usage()
    for prompt, completion, cached in calls:
        total += used(known, prompt_tokens=prompt, completion_tokens=completion, cached_tokens=min(cached, prompt))
    summed = used(
        known,
        prompt_tokens=sum(prompt for prompt, _, _ in calls),
        completion_tokens=sum(completion for _, completion, _ in calls),
        cached_tokens=sum(min(cached, prompt) for prompt, _, cached in calls),
    )
    assert total == summed


@given(TOKENS, st.integers(0, 29))
def test_one_unknown_price_makes_the_sum_unknown(calls: list[tuple[int, int, int]], place: int) -> None:
    known = price("1", "2")
    costs = [None if number == place else known for number in range(len(calls))]
    total = sum(
        (used(each, prompt_tokens=p, completion_tokens=c) for each, (p, c, _) in zip(costs, calls, strict=True)),
        start=Usage(),
    )
    assert (total.cost is None) == (place < len(calls))
    assert total.prompt_tokens == sum(prompt for prompt, _, _ in calls)
