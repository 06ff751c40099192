"""The page that Prefect shows of a run that has ended: how its steps ended, its outputs, where its record is."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from flows.plan import PlanStep
from flows.runtime.markdown import plain
from flows.runtime.ports import Run, RunOutcome
from flows.runtime.storable import storable_json
from flows.states import StepStatus

MOST_STEPS = 50
OUTPUT_CHARACTERS = 4_000

_NOT_RUN = "not run"
_BEFORE = {
    StepStatus.COMPLETED: "completed",
    StepStatus.SKIPPED: "skipped",
    StepStatus.FAILED: "failed",
    StepStatus.TIMEOUT: "timed out",
}


def run_page(run: Run, outcome: RunOutcome, ends: Mapping[str, str]) -> str:
    """Markdown. `ends` says how the steps of the top level ended, as far as this process ran them."""
    plan = run.plan
    endings = {step.step_key: _ending(run, step, ends) for step in plan.steps}
    counts = ", ".join(f"{count:,} {ending}" for ending, count in Counter(endings.values()).most_common())
    facts = (
        f"- **Workflow:** {plain(plan.workflow.name)}, version {plan.workflow.version}, `{plan.workflow.id}`",
        f"- **Execution:** `{run.execution_id}`, recorded at `/api/v1/executions/{run.execution_id}`",
        f"- **Steps:** {counts or 'none'}",
    )
    parts = [f"# {outcome.status.value.capitalize()}", "\n".join(facts)]
    if outcome.error is not None:
        parts.append(_error(outcome.error))
    if outcome.outputs is not None:
        parts += ["## Outputs", _json(outcome.outputs)]
    parts += ["## Steps", _steps(plan.steps, endings)]
    return "\n\n".join(parts) + "\n"


def _ending(run: Run, step: PlanStep, ends: Mapping[str, str]) -> str:
    before = run.past.finished.get(step.step_key)
    return ends.get(step.step_key) or (_BEFORE.get(before.status, _NOT_RUN) if before else _NOT_RUN)


def _error(error: Mapping[str, Any]) -> str:
    where = f" in {plain(error['stepKey'])}" if error.get("stepKey") else ""
    return f"**{plain(error['code'])}**{where}: {plain(error['message'][:OUTPUT_CHARACTERS])}"


def _json(value: Any) -> str:
    text = json.dumps(json.loads(storable_json(value)), indent=2, ensure_ascii=False)
    if len(text) > OUTPUT_CHARACTERS:
        text = f"{text[:OUTPUT_CHARACTERS]}\n… cut here; the record has it all"
    return f"```json\n{text.replace('```', '` ` `')}\n```"


def _steps(steps: tuple[PlanStep, ...], endings: Mapping[str, str]) -> str:
    rows = [(plain(step.step_key), step.type.value, endings[step.step_key]) for step in steps[:MOST_STEPS]]
    table = _table(("step", "kind", "ended"), rows)
    return table if len(steps) <= MOST_STEPS else f"{table}\n\n… and {len(steps) - MOST_STEPS:,} more"


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ("---",) * len(head), *rows))
