import time
from functools import partial
from typing import Any

import jmespath
import pytest

from agents.api.extraction import STEPS, Effort, search
from agents.errors import LimitExceeded, OutputInvalid
from tests.agents.api.conftest import Call
from tests.agents.http_server import Server, json_reply

ROWS = [{"id": n, "name": f"n{n}", "inner": {"b": n % 7}, "tags": ["x", "y"]} for n in range(50)]


@pytest.mark.parametrize(
    "expression",
    [
        "[].{id: id, name: name, b: inner.b, t: tags[0], n: length(tags)}",
        "[?inner.b == `3` && id > `10`].id",
        '[?tags == `["x", "y"]`] | length(@)',
        "sort_by(@, &name)[:3].[id, name]",
        "[].tags[] | [::2]",
        "[0].* | [0]",
        "join(', ', [].name)",
        "map(&to_string(inner), @)[1]",
        "{n: length(@), all: @, no: nothing}",
        'max_by(@, &id).inner || `"none"`',
    ],
)
def test_the_result_is_that_of_jmespath(expression: str) -> None:
    assert search(expression, ROWS, "extract", Effort()) == jmespath.search(expression, ROWS)


BOMBS = {
    "lists": "|".join(["[@, @]"] * 100),
    "objects": "|".join(["{a: @, b: @}"] * 100) + "|to_string(@)",
    "flattened": "|".join(["[@, @][]"] * 200),
    "wide": "|".join([f"[{', '.join(['@'] * 60)}][]"] * 8),
    "joined": "|".join(["[@, @]|join('x', @)"] * 60),
    "written": "|".join(["[to_string(@), to_string(@)]"] * 60),
    "compared": f"({'|'.join(['[@, @]'] * 40)}) == ({'|'.join(['[@, @]'] * 40)})",
    "keys": "|".join([f'{{"{"k" * 1000}": @, b: @}}' for _ in range(3)]) + "|" + "|".join(["[@, @]"] * 40),
    "separator": f"[{', '.join(['@'] * 60)}]|{'|'.join(['[@, @][]'] * 14)}|join('{'x' * 2000}', @)",
}


@pytest.mark.parametrize("name", BOMBS)
def test_an_expression_that_multiplies_its_data_is_stopped(name: str) -> None:
    """The limit of this test is small; what takes too many steps takes too many of them with any."""
    spent = time.process_time()
    with pytest.raises(LimitExceeded) as caught:
        search(BOMBS[name], "seed", "extract", Effort(200_000))
    assert caught.value.code == "CPU_LIMIT"
    assert time.process_time() - spent < 5


def test_what_nobody_waits_for_any_more_is_stopped() -> None:
    effort = Effort()
    effort.stop()
    with pytest.raises(LimitExceeded):
        search("a", {"a": 1}, "extract", effort)


def test_a_large_answer_is_within_the_limit() -> None:
    rows = ROWS * 200
    result = search("[?inner.b > `1`].{id: id, name: name, b: inner.b}", rows, "extract", Effort(STEPS // 25))
    assert len(result) == 7_000


async def test_a_bomb_in_an_agent_is_an_error_of_the_agent(
    call: Call, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agents.api.call.Effort", partial(Effort, 100_000))
    server.answers = [json_reply({"next": None, "rows": [1]})]
    bomb = BOMBS["flattened"]
    pagination = {"type": "cursor", "cursorPath": bomb}
    configs: list[dict[str, Any]] = [{"extract": bomb}, {"pagination": pagination}]
    for config in configs:
        with pytest.raises(LimitExceeded) as caught:
            await call({"url": server.url(), **config})
        assert caught.value.path in ("extract", "pagination.cursorPath")


@pytest.mark.parametrize("expression", ["to_number(@)", "[to_number(@)]"])
async def test_numbers_that_no_record_holds_are_refused(call: Call, server: Server, expression: str) -> None:
    server.answers = [json_reply("9" * 100)]
    with pytest.raises(OutputInvalid) as caught:
        await call({"url": server.url(), "extract": expression})
    assert caught.value.path == "extract"
