"""A provider that is tried out says which models it has and answers a tiny question, or why it does not."""

from typing import Any

import pytest

from agents.egress.policy import EgressPolicy
from agents.errors import EgressRefused, ModelFailed
from agents.llm.config import llm_problems
from agents.providers.provider import ProviderModel
from tests.agents.http_server import Server, json_reply
from tests.agents.llm.conftest import KEY, Harness, fake, remote
from tests.fakes.openai_protocol import completion, failing

LIST = json_reply({"object": "list", "data": [{"id": "small"}, {"id": "large"}, {"id": 7}]})
USAGE = {"prompt_tokens": 12, "completion_tokens": 1}


async def trial(harness: Harness, provider: Any, **more: Any) -> dict[str, Any]:
    config = {"trial": True, **({"model": None} | more.pop("config", {}))}
    return await harness.output(config, provider, **more)


async def test_its_models_and_an_answer(harness: Harness, server: Server) -> None:
    server.answers = [LIST, completion("OK", USAGE)]
    output = await trial(harness, remote(server))
    assert (output["models"], output["model"], output["text"]) == (["small", "large"], "small", "OK")
    assert output["latencyMs"] >= 0
    assert output["usage"]["promptTokens"] == 12
    assert [each.path for each in server.received] == ["/v1/models", "/v1/chat/completions"]
    assert {each.headers["authorization"] for each in server.received} == {f"Bearer {KEY}"}


@pytest.mark.parametrize("wanted", [None, "named"])
async def test_one_without_a_list_is_asked_for_the_model_that_somebody_names(
    harness: Harness, server: Server, wanted: str | None
) -> None:
    server.answers = [failing(404), completion("OK", USAGE)]
    provider = remote(server, models=(ProviderModel(name="own"),))
    output = await trial(harness, provider, config={"model": wanted} if wanted else {})
    assert (output["models"], output["model"]) == (None, wanted or "own")


async def test_nobody_knows_a_model(harness: Harness, server: Server) -> None:
    server.answers = [failing(404)]
    with pytest.raises(ModelFailed, match="which model") as caught:
        await trial(harness, remote(server))
    assert "`model`" in str(caught.value.hint)


async def test_a_wrong_key_is_said_and_not_repeated(harness: Harness, server: Server) -> None:
    server.answers = [failing(401, f"no such key: {KEY}")]
    with pytest.raises(ModelFailed, match="answered 401") as caught:
        await trial(harness, remote(server))
    assert (caught.value.code, caught.value.hint) == ("PROVIDER_REFUSED", "check the provider's API key")
    assert KEY not in caught.value.message + str(caught.value.details)


async def test_one_that_is_not_there(harness: Harness, server: Server) -> None:
    provider = remote(server, base_url="http://127.0.0.1:9/v1")
    with pytest.raises(ModelFailed) as caught:
        await trial(harness, provider)
    assert caught.value.code == "PROVIDER_UNAVAILABLE"
    assert "`baseUrl`" in str(caught.value.hint)


@pytest.mark.case(15)
async def test_one_that_may_not_be_reached(harness: Harness, server: Server) -> None:
    """Case 15."""
    with pytest.raises(EgressRefused) as caught:
        await trial(harness, remote(server), egress=EgressPolicy())
    assert caught.value.code == "EGRESS_REFUSED"


async def test_a_scripted_one_needs_no_network(harness: Harness) -> None:
    output = await trial(harness, fake({"text": "OK"}))
    assert (output["models"], output["text"]) == (["fake"], "OK")


async def test_there_is_none(harness: Harness) -> None:
    with pytest.raises(ModelFailed) as caught:
        await harness.output({"trial": True})
    assert caught.value.code == "NO_PROVIDER"


def test_no_saved_agent_asks_for_a_trial() -> None:
    assert llm_problems({"trial": True, "model": "m", "prompt": "?"})
