"""What a condition decides, and what it leaves on record."""

from typing import Any

import pytest

from flows.states import ExecutionStatus
from tests.fakes.runtime import Drive, a_condition, a_step

CASES = [
    {"when": "inputs.n > 10", "then": ["many"]},
    {"when": "inputs.n > 1", "then": ["some", "any"]},
    {"when": None, "then": ["none"]},
]


@pytest.mark.parametrize(
    ("value", "result"), [(True, True), (0, False), ("", False), ([], False), ("x", True), (None, False)]
)
async def test_the_truth_of_an_expression(value: Any, result: bool) -> None:
    condition = a_condition("if", when="inputs.value", then=("yes",), otherwise=("no",))
    steps = (condition, a_step("yes", "if", gates=("if",)), a_step("no", "if", gates=("if",)))
    drive = Drive(*steps, inputs={"value": value})
    assert (await drive.once()).status is ExecutionStatus.COMPLETED
    chosen = "yes" if result else "no"
    assert drive.journal.outcomes["if", 1].output == {"result": result, "case": None, "chosen": [chosen]}
    assert drive.executor.keys == [chosen]


@pytest.mark.parametrize(
    ("number", "case", "chosen"), [(50, 0, ["many"]), (5, 1, ["some", "any"]), (1, None, ["none"])]
)
async def test_the_first_case_that_holds_is_taken(number: int, case: int | None, chosen: list[str]) -> None:
    condition = a_step("if", type="CONDITION", agent=None, config={"cases": CASES[:2]}, cases=CASES)
    steps = [a_step(key, "if", gates=("if",)) for key in ("many", "some", "any", "none")]
    drive = Drive(condition, *steps, inputs={"n": number})
    await drive.once()
    assert drive.journal.outcomes["if", 1].output == {"result": None, "case": case, "chosen": chosen}
    assert sorted(drive.executor.keys) == sorted(chosen)


async def test_an_expression_that_cannot_be_computed_fails_the_step() -> None:
    drive = Drive(a_condition("if", when="inputs.missing > 1"))
    outcome = await drive.once()
    assert outcome.error is not None
    assert (outcome.error["code"], outcome.error["stepKey"]) == ("UNRESOLVED_REFERENCE", "if")
