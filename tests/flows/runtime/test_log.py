"""The run's log: batched, bounded, in order."""

import asyncio

import pytest

from flows.runtime import log as module
from flows.runtime.log import RunLog
from flows.runtime.ports import LogLine


async def test_lines_are_written_in_order_and_by_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FLUSH_SECONDS", 0.01)
    written: list[str] = []
    arrived = asyncio.Event()

    async def write(lines: list[LogLine]) -> None:
        written.extend(line.message for line in lines)
        if len(written) == 3:
            arrived.set()

    async with RunLog(write, lambda level, message, step_key: None) as log:
        for number in range(3):
            log.add("INFO", str(number))
        await asyncio.wait_for(arrived.wait(), 5)
    assert written == ["0", "1", "2"]


async def test_the_end_writes_what_is_left() -> None:
    written: list[LogLine] = []

    async def write(lines: list[LogLine]) -> None:
        written.extend(lines)

    async with RunLog(write, lambda level, message, step_key: None) as log:
        log.add("INFO", "last words")
    assert [line.message for line in written] == ["last words"]


async def test_odd_and_endless_text_is_cut_to_what_the_database_takes() -> None:
    written: list[LogLine] = []

    async def write(lines: list[LogLine]) -> None:
        written.extend(lines)

    log = RunLog(write, lambda level, message, step_key: None)
    log.add("INFO", "a\x00b" + "c" * 100_000)
    await log.flush()
    assert "\x00" not in written[0].message
    assert len(written[0].message) == module.MAX_MESSAGE_CHARACTERS


async def test_a_run_that_never_stops_talking_is_cut_with_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_LINES_PER_RUN", 5)
    written: list[LogLine] = []

    async def write(lines: list[LogLine]) -> None:
        written.extend(lines)

    log = RunLog(write, lambda level, message, step_key: None)
    for number in range(50):
        log.add("INFO", str(number))
    await log.flush()
    assert [line.message for line in written[:4]] == ["0", "1", "2", "3"]
    assert len(written) == 5
    assert written[4].level == "WARN"
    assert "cut here" in written[4].message


async def test_lines_wait_for_a_writer_that_fails_and_come_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LINES_PER_WRITE", 2)
    written: list[list[str]] = []
    is_away = True

    async def write(lines: list[LogLine]) -> None:
        if is_away:
            raise ConnectionError("no database")
        written.append([line.message for line in lines])

    log = RunLog(write, lambda level, message, step_key: None)
    for number in range(3):
        log.add("INFO", str(number))
    with pytest.raises(ConnectionError):
        await log.flush()
    is_away = False
    await log.flush()
    assert written == [["0", "1"], ["2"]]


async def test_a_flood_is_kept_and_mirrored_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MIRRORED_LINES_PER_STEP", 2)
    written: list[LogLine] = []
    mirrored: list[tuple[str | None, str]] = []

    async def write(lines: list[LogLine]) -> None:
        written.extend(lines)

    log = RunLog(write, lambda level, message, step_key: mirrored.append((step_key, message)))
    for number in range(5):
        log.add("INFO", str(number), step_key="loud")
    log.add("INFO", "here", step_key="quiet")
    await log.flush()
    assert len(written) == 6
    assert mirrored[:2] == [("loud", "0"), ("loud", "1")]
    assert [key for key, _ in mirrored] == ["loud", "loud", "loud", "quiet"]
