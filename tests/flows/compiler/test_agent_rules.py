"""Steps against their agents."""

from typing import Any

import pytest

from agents.spec import AgentType
from flows.compiler.agent_rules import config_template_problems, templated_config
from tests.flows.compiler.definitions import agent, found, problems_of, step


def outcome(inputs: dict[str, Any], **fields: Any) -> set[tuple[str, str]]:
    return found(problems_of(step("s", inputs=inputs), agents=(agent(**fields),), secrets=("K",)))


def test_what_a_config_uses_must_be_handed_over() -> None:
    config = {"path": "data/{{ inputs.file }}", "n": "{{ inputs.limit | default(5) }}", "all": "{{ inputs }}"}

    assert outcome({"file": "x"}, config=config) == set()
    assert outcome({}, config=config) == {("steps[0].inputs.file", "MISSING_INPUT")}


def test_a_default_of_the_agent_counts_as_handed_over() -> None:
    schema = {"properties": {"file": {"default": "x.csv"}}, "required": ["file"]}

    assert outcome({}, config={"path": "{{ inputs.file }}"}, input_schema=schema) == set()


def test_required_inputs_must_be_there_and_are_told_once() -> None:
    schema = {"properties": {"file": {}, "o": {}}, "required": ["file", "o"]}

    problems = problems_of(
        step("s", inputs={"o": None}), agents=(agent(config={"p": "{{ inputs.file }}"}, input_schema=schema),)
    )

    assert [(p.path, p.code) for p in problems] == [("steps[0].inputs.file", "MISSING_INPUT")]


def test_inputs_that_a_closed_schema_does_not_know_are_told() -> None:
    closed = {"properties": {"file": {}}, "additionalProperties": False}

    assert outcome({"fil": 1}, input_schema=closed) == {("steps[0].inputs.fil", "UNKNOWN_INPUT")}
    assert outcome({"fil": 1}, input_schema={"properties": {"file": {}}}) == set()


@pytest.mark.parametrize(
    ("config", "code"),
    [
        ({"x": "{{ load.output }}"}, "UNKNOWN_REFERENCE"),
        ({"x": ["{{ secrets.NOPE }}"]}, "UNKNOWN_SECRET"),
        ({"x": {"y": "{{ 1 + }}"}}, "BAD_EXPRESSION"),
        ({"x": "{% raw %}"}, "BAD_EXPRESSION"),
    ],
)
def test_an_agents_own_problems_are_told_once_at_the_first_step(config: dict[str, Any], code: str) -> None:
    problems = problems_of(step("a"), step("b"), agents=(agent(config=config),), secrets=("K",))

    assert found(problems) == {("steps[0].agentId", code)}
    assert len(problems) == 1
    assert "config.x" in problems[0].message


def test_configs_know_secrets_env_execution_and_workflow() -> None:
    config = {"a": "{{ secrets.K }} {{ env.HOME }} {{ execution.id }} {{ workflow.name }}"}

    assert outcome({}, config=config) == set()


def test_code_is_never_a_template() -> None:
    config = {"code": "print('{{ {% }} {{ nothing', {{}})", "language": "python"}

    assert outcome({}, kind="CODE", config=config) == set()
    assert templated_config(AgentType.CODE, config) == {"language": "python"}
    assert templated_config(AgentType.DATA, config) == config


def test_an_agent_can_be_checked_by_itself() -> None:
    problems = config_template_problems(
        AgentType.API, {"url": "{{ inputs.url }}", "headers": {"a": "{{ step.output }}"}}
    )

    assert found(problems) == {("headers.a", "UNKNOWN_REFERENCE")}


@pytest.mark.parametrize(
    "schema", [{"properties": {"a": {"$ref": "#", "default": {}}}}, {"$ref": "#"}, {"required": ["x"], "$ref": "#"}]
)
def test_schemas_that_never_end_do_not_stop_the_check(schema: dict[str, Any]) -> None:
    assert {code for _, code in outcome({}, input_schema=schema)} <= {"MISSING_INPUT"}
