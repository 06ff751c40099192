"""DATA steps that one DATA step alone reads are left to it; everything else runs by itself."""

from typing import Any

import pytest

from agents.spec import AgentSpec, AgentType
from flows.compiler.compile import compile_plan
from flows.compiler.shape import parse_definition
from flows.plan import PlanStep
from tests.flows.compiler.definitions import WORKFLOW

PURE = {"source": {"path": "a.parquet"}, "operations": [{"op": "limit", "rows": 5}]}


def data(key: str, **changes: Any) -> AgentSpec:
    whole: dict[str, Any] = {"id": key, "version": 1, "name": key, "type": AgentType.DATA, "config": PURE, **changes}
    return AgentSpec(**whole)


def step(key: str, *reads: str, agent_id: str | None = None, **changes: Any) -> dict[str, Any]:
    inputs = {name: f"{{{{ {name}.output }}}}" for name in reads}
    base = {"stepKey": key, "type": "AGENT", "agentId": agent_id or key, "inputs": inputs, "dependsOn": list(reads)}
    return base | changes


def planned(*steps: dict[str, Any], output: Any = None, **agents: AgentSpec) -> dict[str, PlanStep]:
    definition = parse_definition({"steps": list(steps), **({} if output is None else {"output": output})})
    known = {key: data(key) for key in "abc"} | agents
    return {each.step_key: each for each in compile_plan(definition, WORKFLOW, known).steps}


def fused(*steps: dict[str, Any], **more: Any) -> dict[str, str]:
    """Step to the one that it is fused into; which inputs those expect must fit."""
    plan = planned(*steps, **more)
    found = {key: each.fused_into for key, each in plan.items() if each.fused_into}
    assert {(key, into) for into, each in plan.items() for key in each.lazy_inputs} == set(found.items())
    return found


def test_a_chain_is_fused_into_its_last_step() -> None:
    assert fused(step("a"), step("b", "a"), step("c", "b")) == {"a": "b", "b": "c"}


def test_two_branches_are_fused_into_the_step_that_joins_them() -> None:
    assert fused(step("a"), step("b"), step("c", "a", "b")) == {"a": "c", "b": "c"}


def test_a_table_that_two_steps_read_is_computed_once() -> None:
    assert fused(step("a"), step("b", "a"), step("c", "a")) == {}


@pytest.mark.parametrize(
    "changes",
    [
        {"materialize": True},
        {"onError": "CONTINUE"},
        {"onError": "RETRY"},
        {"timeoutSeconds": 5},
    ],
)
def test_a_step_may_ask_to_run_by_itself(changes: dict[str, Any]) -> None:
    assert fused(step("a", **changes), step("b", "a")) == {}


@pytest.mark.parametrize(
    "config",
    [
        {**PURE, "sink": {"path": "a.csv"}},
        {**PURE, "checks": []},
        {**PURE, "chart": {"kind": "bar", "x": "a", "y": "b"}},
        {**PURE, "source": {"url": "https://example.com/a.csv"}},
        {**PURE, "source": {"database": "sqlite:///a.db", "query": "SELECT 1"}},
        {**PURE, "operations": [{"op": "join", "with": {"url": "s3://b/a.csv"}, "on": ["a"]}]},
    ],
)
def test_a_step_that_does_more_than_compute_runs_by_itself(config: dict[str, Any]) -> None:
    assert fused(step("a"), step("b", "a"), a=data("a", config=config)) == {}


@pytest.mark.parametrize(
    "reading",
    [
        {"inputs": {"a": "{{ a.output.data }}"}},
        {"inputs": {"a": "{{ a.output }}", "n": "{{ a.output.rows }}"}},
        {"inputs": {"a": {"rows": "{{ a.output }}"}}},
        {"inputs": {"a": "{{ steps.a.output }}"}},
    ],
)
def test_an_output_that_is_read_in_part_is_computed(reading: dict[str, Any]) -> None:
    assert fused(step("a"), step("b", "a", **reading)) == {}


def test_an_output_that_a_later_step_or_the_workflow_reads_is_computed() -> None:
    later = step("c", "b", inputs={"b": "{{ b.output }}", "n": "{{ a.output.rows }}"})
    assert fused(step("a"), step("b", "a"), later) == {"b": "c"}
    assert fused(step("a"), step("b", "a"), output="{{ a.output.rows }}") == {}
    assert fused(step("a"), step("b", "a"), output="{{ b.output.rows }}") == {"a": "b"}


def test_only_data_steps_read_such_tables() -> None:
    program = data("b", type=AgentType.CODE, config={"language": "python", "code": "def main(inputs): return 1"})
    assert fused(step("a"), step("b", "a"), b=program) == {}


def test_what_checks_its_input_or_output_gets_the_output() -> None:
    typed = {"type": "object", "properties": {"a": {"type": "object", "required": ["rows"]}}}
    assert fused(step("a"), step("b", "a"), b=data("b", input_schema=typed)) == {}
    assert fused(step("a"), step("b", "a"), a=data("a", output_schema={"type": "object"})) == {}
    counted = {"source": {"input": "a"}, "operations": [{"op": "limit", "rows": "{{ inputs.a.rows }}"}]}
    assert fused(step("a"), step("b", "a"), b=data("b", config=counted)) == {}


def test_steps_behind_a_condition_run_by_themselves() -> None:
    fork = {"stepKey": "fork", "type": "CONDITION", "config": {"expression": "{{ true }}", "then": ["b"], "else": []}}
    assert fused(step("a"), step("b", "a"), fork) == {}
