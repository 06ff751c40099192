"""Workflows: what checking and compiling a definition of many steps costs; the goal is 1 s for 1,000 steps."""

from collections.abc import Callable, Iterator
from typing import Any

from agents.spec import AgentSpec, AgentType
from flows.compiler.compile import compile_plan, definition_problems
from flows.compiler.shape import parse_definition
from flows.plan import PlanWorkflow
from tests.bench.measure import Figure, median_seconds

AGENT = AgentSpec(
    id="agent",
    version=1,
    name="Adder",
    type=AgentType.CODE,
    config={"language": "python", "code": "def main(input): ..."},
)
WORKFLOW = PlanWorkflow(id="workflow", name="Many", slug="many", version=1, tenant_id="tenant", tenant_slug="tenant")


def document(steps: int) -> dict[str, Any]:
    """A definition whose steps each refer to the one before and to one far back."""
    return {"steps": [_step(number) for number in range(steps)], "output": {"last": f"{{{{ s{steps - 1}.output.n }}}}"}}


def figures(*, steps: int, rounds: int) -> Iterator[Figure]:
    """Shape, meaning and plan apart, then the plan's way through JSON."""
    text = document(steps)
    definition = parse_definition(text)
    agents = {"agent": AGENT}
    assert definition_problems(definition, agents) == []
    plan = compile_plan(definition, WORKFLOW, agents)

    def measure(name: str, work: Callable[[], object], *, goal: float | None = None) -> Figure:
        return Figure(f"{name}, {steps:,} steps", median_seconds(work, rounds=rounds) * 1e3, "ms", rounds, goal)

    yield measure("parse", lambda: parse_definition(text))
    yield measure("validate", lambda: definition_problems(definition, agents))
    yield measure("validate and compile", lambda: compile_plan(definition, WORKFLOW, agents), goal=float(steps))
    yield measure("plan to JSON and back", lambda: type(plan).model_validate_json(plan.model_dump_json()))


def _step(number: int) -> dict[str, Any]:
    step: dict[str, Any] = {"stepKey": f"s{number}", "type": "AGENT", "agentId": "agent", "inputs": {"n": number}}
    if number == 0:
        return step
    inputs = {"n": f"{{{{ s{number - 1}.output.n + 1 }}}}", "far": f"{{{{ s{number // 10}.output.n }}}}"}
    return {**step, "inputs": inputs, "dependsOn": [f"s{number - 1}"]}
