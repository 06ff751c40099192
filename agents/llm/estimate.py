"""What a run of an LLM agent will cost, before it is made. Loads no client: the API process may ask.

The prompt is reckoned by its length (`agents.llm.tokens`), from what most texts need to what tables and code do; the
answer from one token to `maxTokens`. Tools and a repair ask the model again with a longer prompt, which the upper end
reckons with. Templates that are not filled in count as they are written.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from agents.llm.config import LlmConfig
from agents.llm.conversation import first_messages
from agents.llm.selection import chosen
from agents.llm.tokens import ASSUMED_ANSWER, prompt_range
from agents.providers.pricing import CATALOGUE, cost_of, price_of
from agents.providers.provider import Provider


@dataclass(frozen=True, kw_only=True)
class Range:
    """From the fewest to the most that is to be expected."""

    least: int
    most: int


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Of one run. The costs are in USD, and None when the model's price is not known."""

    provider: str
    model: str
    prompt_tokens: Range
    completion_tokens: Range
    least_cost: Decimal | None
    most_cost: Decimal | None
    prices_as_of: date
    """Of the shipped catalogue; a price of the provider's own is as old as its owner left it."""


def estimate(config: LlmConfig, providers: Sequence[Provider]) -> Estimate:
    """For the provider that is asked first. Raises `ModelFailed` when there is none."""
    provider = chosen(providers, config)[0]
    least_prompt, most_prompt = prompt_range(first_messages(config))
    answer = config.max_tokens or ASSUMED_ANSWER
    calls = 1 + (config.max_tool_rounds if config.tools else 0) + (config.response_schema is not None)
    prompts = sum(most_prompt + call * answer for call in range(calls))
    prompt, completion = Range(least=least_prompt, most=prompts), Range(least=1, most=calls * answer)
    model = provider.answering(config.model) or config.model
    price = price_of(provider, model)
    return Estimate(
        provider=provider.name,
        model=model,
        prompt_tokens=prompt,
        completion_tokens=completion,
        least_cost=cost_of(price, prompt_tokens=prompt.least, completion_tokens=completion.least),
        most_cost=cost_of(price, prompt_tokens=prompt.most, completion_tokens=completion.most),
        prices_as_of=CATALOGUE.as_of,
    )
