"""JSON Schemas of users: what is refused when saved, what defaults and validation do, and that neither can hang."""

from collections.abc import Callable
from typing import Any

import pytest

from agents.errors import Problem
from flows.compiler.schemas import check_inputs, input_schema_problems, is_input_name, matches, schema_problems
from flows.errors import DefinitionInvalid
from tests.fixtures.cost import LINEAR, growth, spent

ROW = {"type": "object", "properties": {"q": {"default": None}, "z": {"type": "integer"}}, "required": ["z"]}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "n": {"type": "integer", "default": 3, "minimum": 1},
        "o": {
            "type": "object",
            "default": {},
            "properties": {"x": {"default": [1]}, "y": {"type": "string"}},
            "required": ["x"],
        },
        "rows": {"type": "array", "items": {"$ref": "#/$defs/row"}},
    },
    "required": ["n"],
    "additionalProperties": False,
    "$defs": {"row": ROW},
}


def problems_with(schema: dict[str, Any], inputs: dict[str, Any]) -> set[tuple[str, str]]:
    with pytest.raises(DefinitionInvalid) as caught:
        check_inputs(schema, inputs)
    return {(problem.path, problem.code) for problem in caught.value.problems}


def test_defaults_are_set_at_every_level() -> None:
    assert check_inputs(SCHEMA, {"rows": [{"z": 1}]}) == {"n": 3, "o": {"x": [1]}, "rows": [{"z": 1, "q": None}]}


def test_defaults_do_not_change_what_was_handed_in_nor_the_schema() -> None:
    given: dict[str, Any] = {"o": {}}

    check_inputs(SCHEMA, given)["o"]["x"].append(2)

    assert given == {"o": {}}
    assert SCHEMA["properties"]["o"]["properties"]["x"]["default"] == [1]


def test_values_that_are_there_are_kept() -> None:
    assert check_inputs(SCHEMA, {"n": 9, "o": {"x": None}}) == {"n": 9, "o": {"x": None}}


def test_no_schema_takes_everything() -> None:
    assert check_inputs(None, {"a": 1}) == {"a": 1}


def test_all_problems_have_paths() -> None:
    assert problems_with(SCHEMA, {"n": 0, "w": 1, "o": {"y": 1}, "rows": [{"z": 1}, {}, 5]}) == {
        ("inputs.n", "BAD_VALUE"),
        ("inputs.w", "UNKNOWN_FIELD"),
        ("inputs.o.y", "BAD_VALUE"),
        ("inputs.rows[1].z", "MISSING_FIELD"),
        ("inputs.rows[2]", "BAD_VALUE"),
    }


def test_messages_never_repeat_a_value() -> None:
    schema: dict[str, Any] = {"properties": {name: {rule: wanted} for name, rule, wanted in (
        ("a", "type", "integer"), ("b", "enum", ["x"]), ("c", "pattern", "^x$"), ("d", "format", "date"),
        ("e", "maxLength", 2), ("f", "not", {}), ("g", "anyOf", [{"type": "null"}]), ("h", "const", 1))}}  # fmt: skip

    with pytest.raises(DefinitionInvalid) as caught:
        check_inputs(schema, dict.fromkeys("abcdefgh", "hunter2"))

    assert len(caught.value.problems) == 8
    assert "hunter2" not in str(caught.value)


def test_outputs_are_matched_from_their_root() -> None:
    assert [(p.path, p.code) for p in matches({"items": {"type": "integer"}}, [1, "x"])] == [("[1]", "BAD_VALUE")]
    assert matches({"type": "string", "format": "date"}, "2013-01-31") == []
    assert [p.path for p in matches({"type": "string", "format": "date"}, "31.1.2013")] == [""]


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        (5, "s"),
        ({"type": "strin"}, "s.type"),
        ({"properties": []}, "s.properties"),
        ({"properties": {"a": {"minimum": "x"}}}, "s.properties.a.minimum"),
        ({"pattern": "("}, "s.pattern"),
        ({"pattern": "(?=a)b"}, "s.pattern"),
        ({"pattern": "(a)\\1"}, "s.pattern"),
        ({"pattern": "(a{100}){100}"}, "s.pattern"),
        ({"pattern": "a" * 1_001}, "s.pattern"),
        ({"patternProperties": {"(": {}}}, "s.patternProperties"),
        ({"properties": {"a": {"$ref": "http://127.0.0.1/x"}}}, "s.properties.a.$ref"),
        ({"$ref": "file:///etc/passwd"}, "s.$ref"),
        ({"$ref": "#/$defs/nothing"}, "s.$ref"),
        ({"x-mine": {"pattern": "(a+)+$"}, "$ref": "#/x-mine"}, "s.$ref"),
        ({"$ref": "#"}, "s"),
        ({"allOf": [{"$ref": "#"}]}, "s"),
        ({"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"not": {"$ref": "#/$defs/a"}}}}, "s.$defs.a"),
        ({"properties": {"a": {"$id": "http://other/"}}}, "s.properties.a.$id"),
        ({"unevaluatedProperties": False}, "s.unevaluatedProperties"),
        ({"$dynamicRef": "#x"}, "s.$dynamicRef"),
        ({"properties": {"a": {"type": "integer", "default": "x"}}}, "s.properties.a.default"),
        ({"properties": {"a": {"$ref": "#", "default": {}}}}, "s.properties.a.default"),
        ({"enum": ["x" * 300_000]}, "s"),
        ({"const": float("nan")}, "s"),
    ],
)
def test_bad_schemas_are_refused_where_they_are_bad(schema: Any, path: str) -> None:
    problems = schema_problems(schema, "s")

    assert [(problem.path, problem.code) for problem in problems] == [(path, "BAD_SCHEMA")]


def test_deep_schemas_are_refused() -> None:
    schema: dict[str, Any] = {}
    for _ in range(5_000):
        schema = {"not": schema}

    assert [problem.code for problem in schema_problems(schema, "s")] == ["BAD_SCHEMA"]


@pytest.mark.parametrize(
    "schema",
    [None, {}, SCHEMA, {"properties": {"a": {"$ref": "#"}}}, {"properties": {"$ref": {"type": "string"}}},
     {"examples": [{"$ref": "http://x"}]}, {"$id": "https://example.org/x", "$ref": "#/$defs/a", "$defs": {"a": {}}},
     {"$defs": {"a/b": {}}, "items": {"$ref": "#/$defs/a~1b"}}, {"pattern": "^[0-9a-f]{8}(-[0-9a-f]{4}){3}$"}],
)  # fmt: skip
def test_good_schemas_have_no_problems(schema: Any) -> None:
    assert schema_problems(schema) == []


def test_paths_start_at_the_schema_when_no_path_is_given() -> None:
    assert [p.path for p in schema_problems({"properties": {"a": {"pattern": "("}}})] == ["properties.a.pattern"]


@pytest.mark.parametrize("name", ["class", "a b", "1a", "", "_x", "ä", "a-b", "model_config", "None"])
def test_names_that_no_parameter_can_have_are_refused(name: str) -> None:
    problems = input_schema_problems({"type": "object", "properties": {name: {}}}, "inputSchema")

    assert [(p.path, p.code) for p in problems] == [(f"inputSchema.properties.{name}", "BAD_INPUT_NAME")]
    assert not is_input_name(name)


def test_workflow_inputs_are_an_object() -> None:
    assert [p.path for p in input_schema_problems({"type": "array"}, "inputSchema")] == ["inputSchema.type"]
    assert input_schema_problems({"type": "object", "properties": {"path": {}}}, "inputSchema") == []


@pytest.mark.case(21)
def test_a_regex_bomb_is_evaluated_in_linear_time() -> None:
    schema = {"properties": {"a": {"pattern": "(a+)+$"}}, "patternProperties": {"^(b+)+$": {"type": "integer"}}}
    long = "a" * 500_000 + "!"

    assert schema_problems(schema) == []
    with spent() as cost:
        problems = problems_with(schema, {"a": long, "b" * 50_000: "x"})
    assert problems == {("inputs.a", "BAD_VALUE"), ("inputs." + "b" * 50_000, "BAD_VALUE")}
    assert cost.seconds < 1  # 27 characters cost as much where the pattern backtracks


def test_pattern_properties_and_additional_properties_go_together() -> None:
    schema = {"patternProperties": {"^x": {"type": "integer"}}, "additionalProperties": {"type": "string"}}

    assert matches(schema, {"x1": 1, "y": "s"}) == []
    assert {p.path for p in matches(schema, {"x1": "s", "y": 1})} == {"x1", "y"}


@pytest.mark.parametrize(
    ("schema", "inputs"),
    [
        ({"$ref": "#/$defs/a0", "$defs": {"a40": {}, **{f"a{i}": {"allOf": [{"$ref": f"#/$defs/a{i + 1}"}] * 2}
          for i in range(40)}}}, {}),
        ({"properties": {"a": {"items": {"allOf": [{"minimum": 0}] * 2_000}}}}, {"a": [1] * 20_000}),
        ({"$ref": "#"}, {}),
        ({"properties": {"a": {"pattern": "a"}}}, {"a": "b" * 2_000_000}),
        ({"properties": {"a": {"$ref": "#", "default": {}}}}, {}),
    ],
)  # fmt: skip
def test_evaluation_ends_even_where_the_schema_was_never_checked(schema: Any, inputs: dict[str, Any]) -> None:
    with spent() as cost:
        problems = problems_with(schema, inputs)
    assert problems == {("inputs", "SCHEMA_TOO_COSTLY")}
    assert cost.seconds < 2  # the evaluator gives itself one


def test_deep_values_end_too() -> None:
    value: dict[str, Any] = {}
    for _ in range(900):
        value = {"a": value}

    assert problems_with({"properties": {"a": {"$ref": "#"}}}, value) == {("inputs", "SCHEMA_TOO_COSTLY")}


def test_unique_items_of_many_objects_are_compared_at_once() -> None:
    schema = {"uniqueItems": True}

    def prepare(size: int) -> Callable[[], list[Problem]]:
        value = [{"i": number} for number in range(size)]
        return lambda: matches(schema, value)

    assert prepare(50_000)() == []
    assert growth(prepare, 2_000, 20_000) < LINEAR * 10
    assert [p.code for p in matches(schema, [{"i": 1, "j": 2}, {"j": 2, "i": 1}])] == ["BAD_VALUE"]
    assert [p.code for p in matches(schema, [1, 1.0])] == ["BAD_VALUE"]
    assert matches(schema, [1, True, "1"]) == []


LARGE: dict[str, Callable[[int], dict[str, Any]]] = {
    "patterns": lambda size: {"properties": {f"p{n}": {"pattern": f"\\w{{100}}{n}"} for n in range(size)}},
    "circles": lambda size: {"$defs": {f"a{n}": {"$ref": f"#/$defs/a{n}"} for n in range(size)}},
    "wrong rules": lambda size: {"anyOf": [{"minimum": "x"}] * size},
    "wrong defaults": lambda size: {
        "properties": {f"p{n}": {"default": {}, "$ref": "#/$defs/a"} for n in range(size)},
        "$defs": {"a": {"type": "null"}},
    },
}


@pytest.mark.parametrize("name", LARGE)
def test_large_schemas_are_checked_in_time_and_their_problems_are_cut(name: str) -> None:
    def prepare(size: int) -> Callable[[], list[Problem]]:
        schema = LARGE[name](size)
        return lambda: schema_problems(schema, "s")

    assert 0 < len(prepare(2_000)()) <= 1_000
    assert growth(prepare, 200, 2_000) < LINEAR * 10


def test_many_errors_are_cut_at_a_hundred() -> None:
    assert len(matches({"items": {"type": "string"}}, list(range(10_000)))) == 100
