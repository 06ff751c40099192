"""The tables of allowed moves hold together."""

from collections.abc import Mapping
from enum import StrEnum

import pytest

from flows.states import EXECUTION_MOVES, STEP_MOVES, ExecutionStatus, StepStatus, is_final, is_final_step

TABLES = [(ExecutionStatus, EXECUTION_MOVES), (StepStatus, STEP_MOVES)]


@pytest.mark.parametrize(("statuses", "moves"), TABLES)
def test_every_status_is_reached_from_pending_and_can_end(
    statuses: type[StrEnum], moves: Mapping[StrEnum, frozenset[StrEnum]]
) -> None:
    assert set(moves) == set(statuses)
    reached = {statuses("PENDING")}
    for _ in statuses:
        reached |= {after for before in reached for after in moves[before]}
    assert reached == set(statuses)
    assert all(moves[status] for status in statuses if status in ("PENDING", "RUNNING", "PAUSED"))


@pytest.mark.parametrize(("statuses", "moves"), TABLES)
def test_nothing_stays_where_it_is_or_goes_back_to_pending(
    statuses: type[StrEnum], moves: Mapping[StrEnum, frozenset[StrEnum]]
) -> None:
    assert all(before not in after for before, after in moves.items())
    assert all(statuses("PENDING") not in after for after in moves.values())


def test_final_executions() -> None:
    assert {each.value for each in ExecutionStatus if is_final(each)} == {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT"}


def test_final_steps() -> None:
    final = {"COMPLETED", "FAILED", "SKIPPED", "CANCELLED", "TIMEOUT"}

    assert {each.value for each in StepStatus if is_final_step(each)} == final


def test_only_what_has_not_started_is_skipped() -> None:
    assert [before for before, after in STEP_MOVES.items() if StepStatus.SKIPPED in after] == [StepStatus.PENDING]


def test_a_run_completes_only_from_running() -> None:
    completing = [before for before, after in EXECUTION_MOVES.items() if ExecutionStatus.COMPLETED in after]

    assert completing == [ExecutionStatus.RUNNING]
