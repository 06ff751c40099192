"""Queries that would take all memory are ended before they do."""

import asyncio
from typing import Any

import pytest

from agents.data import memory
from agents.data.memory import MemoryLimit, allowed, resident
from agents.errors import LimitExceeded
from tests.agents.data.conftest import FolderDatasets, Run

MIB = 2**20


def crossed(name: str) -> dict[str, Any]:
    return {"op": "join", "with": {"rows": [{name: number} for number in range(1_000)]}, "how": "cross"}


TEXTS: list[dict[str, Any]] = [{"op": "map", "columns": {"s": "s || s"}} for _ in range(40)]


@pytest.mark.parametrize(
    "operations",
    [
        [crossed("b"), crossed("c"), {"op": "sort", "by": ["c", "a"]}],
        [crossed("b"), crossed("c"), {"op": "unique"}],
        [crossed("b"), crossed("c"), {"op": "window", "partitionBy": ["a"], "columns": {"n": "COUNT(*)"}}],
        TEXTS,
    ],
    ids=["sort", "unique", "window", "texts"],
)
async def test_a_bomb_is_stopped_and_the_process_lives_on(
    run: Run, datasets: FolderDatasets, monkeypatch: pytest.MonkeyPatch, operations: list[dict[str, Any]]
) -> None:
    limit = resident() + 150 * MIB
    monkeypatch.setattr(memory, "allowed", lambda: limit)
    config = {"source": {"rows": [{"a": number, "s": "0123456789"} for number in range(1_000)]}}
    with pytest.raises(LimitExceeded, match="the query was stopped at") as caught:
        await run({**config, "operations": operations})
    assert caught.value.code == "MEMORY_LIMIT"
    assert list(datasets.folder.iterdir()) == []
    assert resident() < limit + 1_000 * MIB
    assert (await run({**config, "operations": []})).output["rows"] == 1_000


async def test_those_that_take_little_are_not_blamed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "allowed", lambda: 1)
    small = {"source": {"rows": [{"a": 1}]}, "operations": [crossed("b")]}
    outputs = await asyncio.gather(*(run(small) for _ in range(3)))
    assert [result.output["rows"] for result in outputs] == [1_000] * 3


def test_the_limit_is_a_part_of_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 0 < resident() < allowed()
    held = iter([100 * MIB, 300 * MIB, 150 * MIB, 300 * MIB])
    monkeypatch.setattr(memory, "resident", lambda: next(held))
    MemoryLimit(400 * MIB).check()
    with pytest.raises(LimitExceeded, match="stopped at 300 MiB"):
        MemoryLimit(200 * MIB).check()
