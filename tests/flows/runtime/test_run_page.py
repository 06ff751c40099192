"""The page that sums a run up."""

from dataclasses import replace
from typing import Any

from flows.runtime.ports import FinishedStep, Past, RunOutcome
from flows.runtime.run_page import MOST_STEPS, run_page
from flows.states import ExecutionStatus, StepStatus
from tests.fakes.runtime import a_run, a_step


def completed(outputs: Any = None) -> RunOutcome:
    return RunOutcome(status=ExecutionStatus.COMPLETED, outputs=outputs)


def test_steps_are_counted_with_those_of_before() -> None:
    past = Past(finished={"a": FinishedStep(status=StepStatus.COMPLETED)})
    run = replace(a_run(a_step("a"), a_step("b"), a_step("c"), a_step("d")), past=past)
    page = run_page(run, completed({"d": 1}), {"b": "completed", "c": "skipped"})
    assert "**Steps:** 2 completed, 1 skipped, 1 not run" in page
    assert "| c | AGENT | skipped |" in page
    assert f"`{run.execution_id}`" in page
    assert '```json\n{\n  "d": 1\n}\n```' in page


def test_a_failure_says_where_and_why() -> None:
    error = {"code": "CODE_ERROR", "message": "no <b>luck</b>", "stepKey": "each[1].a"}
    page = run_page(a_run(a_step("a")), RunOutcome(status=ExecutionStatus.FAILED, error=error), {"a": "failed"})
    assert page.startswith("# Failed\n")
    assert r"**CODE\_ERROR** in each\[1\].a: no \<b\>luck\</b\>" in page
    assert "## Outputs" not in page


def test_it_stays_small_and_in_its_frame() -> None:
    steps = [a_step(f"s{number}") for number in range(MOST_STEPS + 5)]
    page = run_page(a_run(*steps), completed({"text": "```\n" + "x" * 100_000}), {})
    assert len(page) < 10_000
    assert "… cut here" in page
    assert "… and 5 more" in page
    assert page.count("```") == 2
