"""The price of a run before it is made."""

from typing import Any

import pytest

from agents.errors import ModelFailed
from agents.llm.config import read_config
from agents.llm.estimate import estimate
from agents.providers.provider import Provider, ProviderKind
from tests.agents.llm.conftest import Harness, fake
from tests.agents.llm.test_executor import PRICED

CLAUDE = Provider(id="a", name="claude", kind=ProviderKind.ANTHROPIC)


def config(**changes: Any) -> Any:
    return read_config({"model": "claude-sonnet-4-5", "prompt": "word " * 1000, "maxTokens": 100, **changes})


def test_a_range_of_tokens_and_cost() -> None:
    found = estimate(config(), [CLAUDE])
    assert (found.provider, found.model) == ("claude", "claude-sonnet-4-5")
    assert (found.prompt_tokens.least, found.prompt_tokens.most) == (1004, 2004)
    assert (found.completion_tokens.least, found.completion_tokens.most) == (1, 100)
    assert float(found.least_cost or 0) == (1004 * 3 + 1 * 15) / 1_000_000
    assert float(found.most_cost or 0) == (2004 * 3 + 100 * 15) / 1_000_000


def test_tools_and_repairs_make_it_dearer() -> None:
    plain = estimate(config(), [CLAUDE])
    tools = estimate(config(tools=[{"agentId": "t"}], maxToolRounds=3), [CLAUDE])
    schema = estimate(config(responseSchema={"type": "object"}), [CLAUDE])
    assert tools.completion_tokens.most == 4 * plain.completion_tokens.most
    assert schema.completion_tokens.most == 2 * plain.completion_tokens.most


def test_an_unknown_price_has_no_estimate() -> None:
    found = estimate(config(model="claude-sonnet-99"), [CLAUDE])
    assert found.least_cost is found.most_cost is None
    assert found.prompt_tokens.most > 0
    with pytest.raises(ModelFailed):
        estimate(config(model="gpt-4o"), [CLAUDE])


async def test_what_a_run_costs_lies_within(harness: Harness) -> None:
    asked = {"prompt": "Which of these flights were late?", "maxTokens": 200}
    provider = fake(models=PRICED)
    found = estimate(read_config({"model": "m", **asked}), [provider])
    cost = (await harness.output(asked, provider))["usage"]["cost"]
    assert float(found.least_cost or 0) <= cost <= float(found.most_cost or 0)
