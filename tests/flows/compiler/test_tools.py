"""Agents that models call: found, checked with those that call them, and frozen in the plan."""

from typing import Any

from agents.spec import AgentSpec, AgentType
from flows.compiler.agent_rules import templated_config
from flows.compiler.compile import compile_plan
from flows.compiler.shape import parse_definition
from tests.flows.compiler.definitions import WORKFLOW, agent, found, problems_of, step


def caller(key: str, *called: str, **config: Any) -> AgentSpec:
    tools = [{"agentId": each} for each in called]
    return agent(key, "LLM", config={"model": "m", "prompt": "?", "tools": tools, **config})


def test_the_plan_holds_what_is_called_however_deep_and_in_circles() -> None:
    agents = (caller("a1", "a2", "a3"), caller("a2", "a1", "a4"), agent("a3"), agent("a4"), agent("a5"))
    definition = parse_definition({"steps": [step("s")]})
    plan = compile_plan(definition, WORKFLOW, {each.id: each for each in agents})
    assert set(plan.agents) == {"a1", "a2", "a3", "a4"}


def test_what_is_called_is_checked_too() -> None:
    agents = (
        caller("a1", "a2", "gone"),
        caller("a2", "a3", prompt="{{ secrets.NOPE }}"),
        agent("a3", "WORKFLOW", config={"workflowId": "w"}),
    )
    problems = problems_of(step("s"), step("t"), agents=agents)
    assert found(problems) == {
        ("steps[0].agentId", "UNKNOWN_AGENT"),
        ("steps[0].agentId", "UNKNOWN_SECRET"),
        ("steps[0].agentId", "BAD_TOOL"),
    }
    assert [problem.message.partition(":")[0] for problem in problems] == [
        "agent `Agent a1`, config.tools[1].agentId",
        "agent `Agent a2`, config.prompt",
        "agent `Agent a2`, config.tools[0].agentId",
    ]


def test_a_step_is_as_repeatable_as_what_its_model_calls() -> None:
    definition = parse_definition({"steps": [step("s")]})

    def repeatable(method: str) -> bool:
        posting = agent("a2", "API", config={"method": method})
        agents = {"a1": caller("a1", "a3"), "a3": caller("a3", "a1", "a2"), "a2": posting}
        return compile_plan(definition, WORKFLOW, agents).steps[0].repeatable

    assert repeatable("GET")
    assert not repeatable("POST")


def test_schemas_and_tools_are_never_templates() -> None:
    config = caller("a1", "a2", responseSchema={"description": "{{ not one }}"}).config
    assert templated_config(AgentType.LLM, config) == {"model": "m", "prompt": "?"}
