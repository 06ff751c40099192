"""Listeners hear of a loop's progress now and then, however many items it has."""

from typing import Any

import pytest

from tests.fakes.runtime import Drive, a_loop, a_step

SLOW = a_step("work", inputs={"sleep": 0.02})


def a_slow_loop(**loop: Any) -> Drive:
    return Drive(a_loop("each", steps=(SLOW,), loop={"max_concurrency": 1, **loop}), inputs={"items": list(range(10))})


async def test_it_is_told_while_it_goes_on_and_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.runtime.progress.EVERY_SECONDS", 0.05)
    drive = a_slow_loop(items="{{ inputs.items }}")
    await drive.once()
    told = drive.journal.progress
    assert 2 <= len(told) <= 8
    assert [path for path, _, _ in told] == ["each"] * len(told)
    assert sorted(done for _, done, _ in told) == [done for _, done, _ in told]
    assert told[-1] == ("each", 10, 10)


async def test_of_a_loop_with_a_condition_nobody_knows_the_total(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.runtime.progress.EVERY_SECONDS", 0.05)
    drive = a_slow_loop(condition="index < 10")
    await drive.once()
    assert drive.journal.progress[-1] == ("each", 10, None)


async def test_a_short_loop_says_nothing() -> None:
    drive = a_slow_loop(items="{{ inputs.items }}")
    await drive.once()
    assert drive.journal.progress == []
