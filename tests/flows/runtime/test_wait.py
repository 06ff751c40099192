"""WAIT steps: what they wait for, what an answer gives, and what becomes of a wait that nobody answers."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from flows.runtime import wait as module
from flows.runtime.ports import Answer, Wait
from flows.spec import WaitKind
from flows.states import ExecutionStatus, StepStatus
from tests.fakes.runtime import Drive, a_step, a_wait

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.02)


def given(data: dict[str, Any], by: str | None = "ada") -> Answer:
    return Answer(data=data, by=by, via="REST", at=datetime(2026, 11, 21, 9, 30, tzinfo=UTC))


def the_wait(drive: Drive) -> Wait:
    (row,) = [row for row in drive.journal.rows.values() if row.wait is not None]
    assert row.wait is not None
    return row.wait


async def answered(drive: Drive, answer: Answer, path: str = "wait") -> ExecutionStatus:
    """Drives until the run waits, answers, and drives to the end."""
    assert (await drive.once()).status is ExecutionStatus.PAUSED
    drive.journal.given[path] = answer
    return (await drive.once()).status


async def soon(reached: Callable[[], bool]) -> None:
    for _ in range(200):
        if reached():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("not in time")


async def test_a_duration_passes() -> None:
    drive = Drive(a_wait("wait", wait={"kind": "duration", "seconds": "{{ 1 / 20 }}"}))
    outcome = await drive.once()
    assert outcome.status is ExecutionStatus.COMPLETED
    assert 0.05 <= outcome.outputs["wait"]["waitedSeconds"] < 2


async def test_a_time_in_the_past_is_over_at_once_and_a_naive_one_is_utc() -> None:
    drive = Drive(a_wait("wait", wait={"kind": "until", "at": "2020-01-01T00:00:00"}))
    outcome = await drive.once()
    assert outcome.outputs["wait"]["waitedSeconds"] < 1
    assert the_wait(drive).due_at == LONG_AGO


async def test_a_duration_is_measured_from_when_it_was_opened() -> None:
    drive = Drive(a_wait("wait", wait={"kind": "duration", "seconds": 3600}))
    assert (await drive.once()).status is ExecutionStatus.PAUSED
    (row,) = drive.journal.rows.values()
    row.wait = Wait(kind=WaitKind.DURATION, opened_at=LONG_AGO, due_at=LONG_AGO + timedelta(hours=1))
    outcome = await drive.once()
    assert outcome.status is ExecutionStatus.COMPLETED
    assert outcome.outputs["wait"]["waitedSeconds"] > 3600


async def test_an_approval_gives_who_when_and_why() -> None:
    drive = Drive(a_wait("wait", wait={"kind": "approval", "message": "Ship {{ 1 + 1 }}?", "assignees": ["ADMIN"]}))
    assert await answered(drive, given({"approved": True, "comment": "fine"})) is ExecutionStatus.COMPLETED
    (row,) = drive.journal.rows.values()
    assert row.outcome is not None
    expected = {"approved": True, "by": "ada", "comment": "fine", "at": "2026-11-21T09:30:00.000Z"}
    assert row.outcome.output == expected
    assert (the_wait(drive).message, the_wait(drive).assignees) == ("Ship 2?", ("ADMIN",))
    assert the_wait(drive).due_at is None


async def test_a_refusal_fails_the_step_or_goes_on() -> None:
    drive = Drive(a_wait("wait", wait={"kind": "approval"}))
    assert await answered(drive, given({"approved": False, "comment": "too dear"})) is ExecutionStatus.FAILED
    (row,) = drive.journal.rows.values()
    assert row.outcome is not None
    assert row.outcome.error == {"code": "REJECTED", "message": "The approval was refused: too dear"}
    drive = Drive(a_wait("wait", wait={"kind": "approval", "on_reject": "CONTINUE"}))
    assert await answered(drive, given({"approved": False})) is ExecutionStatus.COMPLETED


async def test_an_input_gives_its_data_and_an_event_itself() -> None:
    drive = Drive(a_wait("wait", wait={"kind": "input", "form": {"type": "array"}}))
    assert await answered(drive, given({"data": [1, 2]})) is ExecutionStatus.COMPLETED
    assert drive.journal.finished[-1].outputs == {"wait": [1, 2]}
    drive = Drive(a_wait("wait", wait={"kind": "event", "event_type": "order.{{ 'paid' }}"}))
    event = {"type": "order.paid", "data": {"id": 1}}
    assert await answered(drive, given(event)) is ExecutionStatus.COMPLETED
    assert the_wait(drive).event_type == "order.paid"
    assert drive.journal.finished[-1].outputs == {"wait": event}


@pytest.mark.parametrize(
    ("verdict", "status", "output"),
    [
        ("FAIL", StepStatus.TIMEOUT, None),
        ("CONTINUE", StepStatus.COMPLETED, "nothing"),
        ("APPROVE", StepStatus.COMPLETED, True),
        ("REJECT", StepStatus.FAILED, None),
    ],
)
async def test_time_out(verdict: str, status: StepStatus, output: Any) -> None:
    config = {"kind": "approval", "timeout_seconds": 0.05, "on_timeout": verdict}
    drive = Drive(a_wait("wait", wait=config, default="nothing"))
    await drive.once()
    (row,) = drive.journal.rows.values()
    assert row.outcome is not None
    assert row.status is status
    if isinstance(row.outcome.output, dict):
        assert (row.outcome.output["approved"], row.outcome.output["by"]) == (output, None)
    else:
        assert row.outcome.output == output
    codes = {"FAIL": "TIMEOUT", "REJECT": "REJECTED"}
    assert (row.outcome.error or {}).get("code") == codes.get(verdict)


async def test_an_answer_that_came_in_time_counts_although_it_is_read_late() -> None:
    drive = Drive(a_wait("wait", wait={"kind": "approval", "timeout_seconds": 3600}))
    assert (await drive.once()).status is ExecutionStatus.PAUSED
    (row,) = drive.journal.rows.values()
    row.wait = Wait(kind=WaitKind.APPROVAL, opened_at=LONG_AGO, due_at=LONG_AGO + timedelta(seconds=9))
    drive.journal.given["wait"] = given({"approved": True})
    assert (await drive.once()).status is ExecutionStatus.COMPLETED


async def test_an_answer_is_noticed_while_others_work() -> None:
    drive = Drive(a_wait("wait", wait={"kind": "approval"}), a_step("slow", inputs={"sleep": 1}))
    running = asyncio.create_task(drive.once())
    await soon(lambda: any(row.wait for row in drive.journal.rows.values()))
    drive.journal.given["wait"] = given({"approved": True})
    await soon(lambda: drive.statuses["wait"] is StepStatus.COMPLETED)
    assert not running.done()
    assert (await running).status is ExecutionStatus.COMPLETED


async def test_many_waits_are_looked_after_with_one_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_SECONDS", 10.0)
    waits = [a_wait(f"wait{number}", wait={"kind": "approval"}) for number in range(50)]
    drive = Drive(*waits)
    looks = 0
    read = drive.journal.answers

    async def counted(execution_id: Any) -> Any:
        nonlocal looks
        looks += 1
        return await read(execution_id)

    monkeypatch.setattr(drive.journal, "answers", counted)
    assert (await drive.once()).status is ExecutionStatus.PAUSED
    assert looks == 1


@pytest.mark.parametrize(
    ("config", "code"),
    [
        ({"kind": "duration", "seconds": "{{ inputs.missing }}"}, "UNRESOLVED_REFERENCE"),
        ({"kind": "duration", "seconds": "{{ 'soon' }}"}, "CONFIG_INVALID"),
        ({"kind": "duration", "seconds": "{{ 0 - 1 }}"}, "CONFIG_INVALID"),
        ({"kind": "until", "at": "{{ 'tomorrow' }}"}, "CONFIG_INVALID"),
        ({"kind": "until", "at": "{{ 7 }}"}, "CONFIG_INVALID"),
        ({"kind": "approval", "assignees": ["{{ none }}"]}, "CONFIG_INVALID"),
        ({"kind": "approval", "assignees": ["{{ '' }}"]}, "CONFIG_INVALID"),
        ({"kind": "input", "form": {"type": "{{ 'nothing' }}"}}, "CONFIG_INVALID"),
    ],
)
async def test_a_config_that_turns_out_wrong_fails_its_step(config: dict[str, Any], code: str) -> None:
    drive = Drive(a_wait("wait", wait=config))
    outcome = await drive.once()
    assert outcome.status is ExecutionStatus.FAILED
    assert (outcome.error or {})["code"] == code
    assert drive.statuses == {"wait": StepStatus.FAILED}
