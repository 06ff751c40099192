"""Small definitions for the compiler's tests."""

from typing import Any

from agents.errors import Problem
from agents.spec import AgentSpec, AgentType
from flows.compiler.compile import definition_problems
from flows.compiler.shape import parse_definition
from flows.plan import PlanWorkflow

WORKFLOW = PlanWorkflow(id="w1", name="Report", slug="report", version=3, tenant_id="t1", tenant_slug="acme")


def agent(key: str = "a1", kind: str = "DATA", **fields: Any) -> AgentSpec:
    """An agent whose config is empty unless said otherwise."""
    return AgentSpec(id=key, version=1, name=f"Agent {key}", type=AgentType(kind), **{"config": {}, **fields})


def step(key: str, *depends_on: str, **fields: Any) -> dict[str, Any]:
    """An AGENT step that runs agent `a1`."""
    return {"stepKey": key, "agentId": "a1", "dependsOn": list(depends_on), **fields}


def problems_of(
    *steps: dict[str, Any], agents: tuple[AgentSpec, ...] = (agent(),), secrets: tuple[str, ...] = (), **parts: Any
) -> list[Problem]:
    """What `definition_problems` says about these steps."""
    definition = parse_definition({"steps": list(steps), **parts})
    return definition_problems(definition, {each.id: each for each in agents}, known_secrets={None: secrets})


def found(problems: list[Problem]) -> set[tuple[str, str]]:
    """Paths with codes."""
    return {(problem.path, problem.code) for problem in problems}


def condition(key: str, expression: str, *depends_on: str, **config: Any) -> dict[str, Any]:
    """A CONDITION with one expression."""
    return {
        "stepKey": key,
        "type": "CONDITION",
        "dependsOn": list(depends_on),
        "config": {"expression": expression, **config},
    }


def loop(key: str, items: Any, *steps: dict[str, Any], **config: Any) -> dict[str, Any]:
    """A LOOP over `items`; none where they are None."""
    given = {"items": items} if items is not None else {}
    return {"stepKey": key, "type": "LOOP", "config": {**given, "steps": list(steps), **config}}


def parallel(key: str, *depends_on: str, **branches: list[dict[str, Any]]) -> dict[str, Any]:
    """A PARALLEL with these branches."""
    named = {name: {"steps": steps} for name, steps in branches.items()}
    return {"stepKey": key, "type": "PARALLEL", "dependsOn": list(depends_on), "config": {"branches": named}}


def wait(key: str, kind: str, **config: Any) -> dict[str, Any]:
    """A WAIT of one kind."""
    return {"stepKey": key, "type": "WAIT", "config": {"kind": kind, **config}}
