"""The run that shows the first rows of a fused DATA step.

The record of the fused step holds the plan of its table. The preview's run takes that record over and asks the plan for
as many rows as a preview has, so that no more is read than those need.
"""

from agents.data.json_rows import PREVIEW_ROWS
from flows.plan import Plan, PlanStep
from flows.spec import StepType

_HEAD = {"operations": [{"op": "limit", "rows": PREVIEW_ROWS}]}


def preview_plan(plan: Plan, step: PlanStep, *, seconds: float) -> Plan:
    """The plan of the preview of `step`, which is one of `plan`'s and fused; it lasts `seconds` at most.

    Its output is `{"schema", "preview"}`. The fused step itself never runs in it: its record is there already.
    """
    assert step.agent is not None
    shown = plan.agents[step.agent]
    key = "preview" if step.step_key != "preview" else "firstRows"
    head = shown.model_copy(update={"config": _HEAD, "input_schema": None, "output_schema": None})
    first_rows = PlanStep(
        step_key=key,
        name=f"Preview of {step.name}"[:200],
        type=StepType.AGENT,
        agent=key,
        inputs={"source": f"{{{{ {step.step_key}.output }}}}"},
        depends_on=(step.step_key,),
        timeout_seconds=min(seconds, shown.limits.timeout_seconds or seconds),
        lazy_inputs=("source",),
        replays=True,
    )
    done = step.model_copy(update={"inputs": {}, "depends_on": ()})
    return Plan(
        workflow=plan.workflow.model_copy(update={"id": "", "tags": ()}),
        agents={step.agent: shown, key: head},
        steps=(done, first_rows),
        output={name: f"{{{{ {key}.output.{name} }}}}" for name in ("schema", "preview")},
    )
