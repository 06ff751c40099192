"""Plans are immutable, travel as JSON and know their ends."""

import pytest
from pydantic import ValidationError

from agents.spec import AgentSpec, AgentType
from flows.plan import Plan, PlanStep, PlanWorkflow
from flows.spec import RetryPolicy, StepType, WorkflowLimits
from flows.states import OnError

WORKFLOW = PlanWorkflow(id="w", name="Late flights!", slug="late-flights", version=2, tenant_id="t", tenant_slug="acme")
PLAN = Plan(
    workflow=WORKFLOW,
    input_schema={"type": "object"},
    limits=WorkflowLimits(max_concurrency=4, timeout_seconds=60),
    agents={
        "a": AgentSpec(
            id="a", version=1, name="Load", type=AgentType.DATA, config={"source": {"path": "{{ inputs.p }}"}}
        )
    },
    steps=(
        PlanStep(step_key="load", name="load", type=StepType.AGENT, agent="a", inputs={"p": "{{ inputs.path }}"}),
        PlanStep(
            step_key="report",
            name="Report",
            type=StepType.AGENT,
            agent="a",
            depends_on=("load",),
            on_error=OnError.RETRY,
            retry=RetryPolicy(retry_on=("TIMEOUT",)),
        ),
    ),
    output={"rows": "{{ load.output.rows }}"},
)


def test_a_plan_survives_json() -> None:
    stored = PLAN.model_dump_json(by_alias=True)

    assert '"stepKey":"load"' in stored
    assert Plan.model_validate_json(stored) == PLAN


def test_a_plan_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        PLAN.steps = ()  # type: ignore[misc]
    with pytest.raises(ValidationError):
        PLAN.steps[0].step_key = "other"  # type: ignore[misc]


def test_the_flow_is_named_by_tenant_and_workflow() -> None:
    assert WORKFLOW.flow_name == "acme--late-flights"


def test_final_steps_are_those_that_nothing_waits_for() -> None:
    assert PLAN.final_steps() == ("report",)
