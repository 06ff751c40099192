"""References, checked before there is a run."""

import pytest

from tests.flows.compiler.definitions import agent, found, problems_of, step

COUNTED = agent(
    "counted",
    output_schema={
        "type": "object",
        "properties": {
            "rows": {"type": "integer"},
            "first": {"$ref": "#/$defs/row"},
            "all": {"type": "array", "items": {"$ref": "#/$defs/row"}},
            "open": {"type": "object"},
            "either": {"anyOf": [{"type": "object"}, {"type": "null"}], "additionalProperties": False},
        },
        "additionalProperties": False,
        "$defs": {"row": {"type": "object", "properties": {"id": {}}, "additionalProperties": False}},
    },
)


def codes(template: str, **parts: object) -> set[str]:
    """What is wrong with `template` as an input of a step after `load` and before `later`."""
    problems = problems_of(
        step("load", agentId="counted"),
        step("here", "load", inputs={"x": template}),
        step("later", "here"),
        step("aside"),
        agents=(agent(), COUNTED),
        secrets=("TOKEN",),
        **parts,
    )
    assert {path for path, _ in found(problems)} <= {"steps[1].inputs.x"}
    return {code for _, code in found(problems)}


@pytest.mark.parametrize(
    "template",
    ["{{ load.output }}", "{{ steps.load.output.rows }}", "{{ load.output.first.id }}", "{{ load.output.all[0].id }}",
     "{{ load.output.open.anything }}", "{{ load.output.either.anything }}", "{{ load['output'].rows }}",
     "{{ secrets.TOKEN }}", "{{ env.HOME }}", "{{ execution.id }}", "{{ workflow.slug }}", "{{ inputs }}",
     "{{ inputs.any.thing }}", "no template: {{ '{{' }}"],
)  # fmt: skip
def test_what_is_there_may_be_named(template: str) -> None:
    assert codes(template) == set()


@pytest.mark.parametrize(
    ("template", "code"),
    [
        ("{{ lode.output }}", "UNKNOWN_REFERENCE"),
        ("{{ steps.lode.output }}", "UNKNOWN_REFERENCE"),
        ("{{ steps }}", "UNKNOWN_REFERENCE"),
        ("{{ steps[inputs.key].output }}", "UNKNOWN_REFERENCE"),
        ("{{ load }}", "UNKNOWN_REFERENCE"),
        ("{{ load.status }}", "UNKNOWN_REFERENCE"),
        ("{{ load[inputs.x] }}", "UNKNOWN_REFERENCE"),
        ("{{ item.x }}", "UNKNOWN_REFERENCE"),
        ("{{ secrets }}", "UNKNOWN_REFERENCE"),
        ("{{ secrets[inputs.name] }}", "UNKNOWN_REFERENCE"),
        ("{{ secrets.TOKN }}", "UNKNOWN_SECRET"),
        ("{{ later.output }}", "NOT_AN_ANCESTOR"),
        ("{{ aside.output | default(1) }}", "NOT_AN_ANCESTOR"),
        ("{{ steps.here.output }}", "NOT_AN_ANCESTOR"),
        ("{{ load.output.row }}", "UNKNOWN_FIELD"),
        ("{{ load.output.first.name }}", "UNKNOWN_FIELD"),
        ("{{ load.output.all[0].name }}", "UNKNOWN_FIELD"),
    ],
)
def test_what_is_not_there_is_told(template: str, code: str) -> None:
    assert codes(template) == {code}


@pytest.mark.parametrize(
    ("schema", "template", "code"),
    [
        ({"properties": {"path": {}}}, "{{ inputs.pth }}", "UNKNOWN_INPUT"),
        ({"properties": {"path": {}}}, "{{ inputs.pth | default(1) }}", None),
        ({"properties": {"path": {}}, "additionalProperties": False}, "{{ inputs.pth | default(1) }}", "UNKNOWN_INPUT"),
        ({"properties": {"path": {}}, "additionalProperties": True}, "{{ inputs.pth }}", None),
        ({"properties": {"path": {}}, "patternProperties": {"^p": {}}}, "{{ inputs.pth }}", None),
        ({"type": "object"}, "{{ inputs.pth }}", None),
        ({"type": "object", "additionalProperties": False}, "{{ inputs.pth }}", "UNKNOWN_INPUT"),
        ({"properties": {"o": {"additionalProperties": False}}}, "{{ inputs.o.x }}", "UNKNOWN_INPUT"),
        ({"properties": {"o": {}}}, "{{ inputs.o.x }}", None),
    ],
)
def test_inputs_are_those_of_the_schema(schema: dict[str, object], template: str, code: str | None) -> None:
    assert codes(template, inputSchema=schema) == ({code} if code else set())


def test_suggestions_name_what_was_meant() -> None:
    messages = [
        problem.message for problem in problems_of(step("load"), step("b", "laod", inputs={"x": "{{ lod.output }}"}))
    ]

    assert len(messages) == 2
    assert all("did you mean `load`?" in message for message in messages)


def test_indirect_dependencies_are_ancestors() -> None:
    assert problems_of(step("c", "b", inputs={"x": "{{ a.output }}"}), step("b", "a"), step("a")) == []


def test_the_output_sees_every_step_and_no_secret() -> None:
    problems = problems_of(
        step("a"), step("b"), output=["{{ a.output }}{{ b.output }}", "{{ secrets.K }}"], secrets=("K",)
    )

    assert found(problems) == {("output[1]", "UNKNOWN_REFERENCE")}
