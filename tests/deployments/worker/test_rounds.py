"""What a worker does beside its runs costs nothing while there is nothing to do."""

from types import SimpleNamespace
from typing import Any

import pytest

from deployments.worker import rounds
from deployments.worker.rounds import Rounds
from platform_api.settings import Settings


@pytest.mark.parametrize(("is_open", "looks", "done"), [(True, 3, 3), (False, 1, 0)])
async def test_open_runs_are_looked_after_and_their_absence_is_known_for_a_while(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, is_open: bool, looks: int, done: int
) -> None:
    counts = {"looks": 0, "done": 0}

    async def is_any_open(_: object) -> bool:
        counts["looks"] += 1
        return is_open

    async def work() -> None:
        counts["done"] += 1

    monkeypatch.setattr(rounds, "is_any_open", is_any_open)
    wiring: Any = SimpleNamespace(sessions=None, orchestrator=None)
    guarded = Rounds(wiring, settings)._while_any_is_open(work)
    monkeypatch.setattr(rounds, "KNOWN_FOR_SECONDS", 3600.0)
    for _ in range(3):
        await guarded()
    assert counts == {"looks": looks, "done": done}


async def test_a_run_that_is_heard_of_is_looked_for(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [False, True]

    async def is_any_open(_: object) -> bool:
        return answers.pop(0)

    done: list[object] = []

    async def work() -> None:
        done.append(None)

    monkeypatch.setattr(rounds, "is_any_open", is_any_open)
    monkeypatch.setattr(rounds, "KNOWN_FOR_SECONDS", 3600.0)
    wiring: Any = SimpleNamespace(sessions=None, orchestrator=None)
    at_work = Rounds(wiring, settings)
    guarded = at_work._while_any_is_open(work)
    await guarded()
    await guarded()
    assert not done
    at_work.hear_of_run()
    await guarded()
    assert done
