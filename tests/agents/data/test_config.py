from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.data.config import data_problems, parse_config
from agents.errors import ConfigInvalid, Problem
from agents.spec import AgentType
from agents.validation import config_problems

DEMO: dict[str, Any] = {
    "source": {"path": "nyc/flights-*.parquet"},
    "operations": [
        {"op": "filter", "where": "dep_delay > 15 AND origin = 'JFK'"},
        {"op": "map", "columns": {"speed": "distance / air_time * 60"}},
        {"op": "join", "with": {"input": "weather"}, "how": "left", "on": ["origin", "time_hour"]},
        {"op": "group", "by": ["carrier"], "aggregations": {"avg_delay": "AVG(arr_delay)"}},
        {"op": "sort", "by": ["carrier", {"column": "avg_delay", "descending": True}]},
    ],
    "schema": {"carrier": "string", "avg_delay": "float64"},
    "checks": [{"check": "not_null", "columns": ["carrier"]}, {"check": "row_count", "min": 1, "severity": "WARN"}],
    "sink": {"path": "reports/late.csv", "escapeFormulas": True},
}


def only(operation: Any) -> Problem:
    problems = data_problems({"operations": [operation]})
    assert len(problems) == 1, problems
    return problems[0]


def test_a_whole_config_has_no_problems() -> None:
    assert data_problems(DEMO) == []
    assert config_problems(AgentType.DATA, DEMO) == []
    assert parse_config(DEMO).operations[2].op == "join"


@pytest.mark.parametrize(
    ("operation", "path", "code", "words"),
    [
        ({"op": "filtr"}, "operations[0].op", "UNKNOWN_OPERATION", 'did you mean "filter"? there are: filter, select'),
        ({"where": "a"}, "operations[0].op", "MISSING_FIELD", '"op" is needed'),
        ({"op": "{{ inputs.op }}"}, "operations[0].op", "UNKNOWN_OPERATION", "there are: filter"),
        ({"op": "sort"}, "operations[0].by", "MISSING_FIELD", '"by" is needed'),
        ({"op": "sort", "by": []}, "operations[0].by", "BAD_CONFIG", "at least 1"),
        ({"op": "sort", "by": "a"}, "operations[0].by", "BAD_CONFIG", "list"),
        ({"op": "sort", "by": [{"colum": "a"}]}, "operations[0].by[0].colum", "UNKNOWN_FIELD", 'mean "column"'),
        ({"op": "filter", "where": "a >"}, "operations[0].where", "BAD_EXPRESSION", "no SQL expression"),
        ({"op": "filter", "where": "a", "wher": 1}, "operations[0].wher", "UNKNOWN_FIELD", "there are: op, where"),
        (
            {"op": "map", "columns": {"x": "FOO(a)"}},
            "operations[0].columns.x",
            "BAD_EXPRESSION",
            "unsupported function",
        ),
        ({"op": "map", "columns": {"x": "DATE_TRUNC('day', a)"}}, "operations[0].columns.x", "BAD_EXPRESSION", '"sql"'),
        ({"op": "window", "columns": {"x": "AVG(a) / 2"}}, "operations[0].columns.x", "BAD_EXPRESSION", "one function"),
        ({"op": "limit", "rows": "5"}, "operations[0].rows", "BAD_CONFIG", "integer"),
        ({"op": "limit", "rows": True}, "operations[0].rows", "BAD_CONFIG", "integer"),
        ({"op": "limit", "rows": -1}, "operations[0].rows", "BAD_CONFIG", "greater"),
        ({"op": "limit", "rows": 10**30}, "operations[0].rows", "BAD_CONFIG", "less"),
        ({"op": "unique", "keep": "some"}, "operations[0].keep", "BAD_CONFIG", "'first', 'last'"),
        ({"op": "sample"}, "operations[0]", "BAD_CONFIG", 'either "rows" or "fraction"'),
        ({"op": "cast", "columns": {"a": "fload"}}, "operations[0].columns.a", "BAD_CONFIG", "there are: int8"),
        ({"op": "join", "with": {"input": "w"}}, "operations[0]", "MISSING_FIELD", 'give "on"'),
        ({"op": "join", "on": ["a"]}, "operations[0].with", "MISSING_FIELD", '"with" is needed'),
        (
            {"op": "join", "with": {"input": "w"}, "leftOn": ["a", "b"], "rightOn": ["a"]},
            "operations[0]",
            "BAD_CONFIG",
            "equally many",
        ),
        ({"op": "join", "with": {"url": "x"}, "on": ["a"]}, "operations[0].with.url", "BAD_URL", "https://"),
        ({"op": "join", "with": {}, "on": ["a"]}, "operations[0].with", "MISSING_FIELD", '{"rows"'),
        ({"op": "concat", "with": [{"rows": [1]}]}, "operations[0].with[0].rows", "BAD_CONFIG", "row 0 is no JSON"),
        ({"op": "concat", "with": [{"input": 1}]}, "operations[0].with[0].input", "BAD_CONFIG", "string"),
        ({"op": "sql", "query": "SELECT FROM WHERE"}, "operations[0]", "BAD_EXPRESSION", "query: "),
        (
            {"op": "sql", "query": "SELECT * FROM self", "with": {"self": {"input": "x"}}},
            "operations[0].with",
            "BAD_CONFIG",
            "another name",
        ),
        (5, "operations[0]", "BAD_CONFIG", "dictionary"),
        (None, "operations[0]", "BAD_CONFIG", "dictionary"),
    ],
)
def test_a_problem_says_where_and_what_there_is(operation: Any, path: str, code: str, words: str) -> None:
    problem = only(operation)
    assert (problem.path, problem.code) == (path, code)
    assert words in problem.message


@pytest.mark.parametrize(
    ("config", "path", "code"),
    [
        ({}, "operations", "MISSING_FIELD"),
        ({"operations": {}}, "operations", "BAD_CONFIG"),
        ({"operations": [{"op": "reduce", "aggregations": {"n": "COUNT(*)"}}] * 201}, "operations", "BAD_CONFIG"),
        ({"operations": [], "sorce": {}}, "sorce", "UNKNOWN_FIELD"),
        ({"operations": [], "source": "flights.csv"}, "source", "BAD_CONFIG"),
        ({"operations": [], "source": {"path": "s3://bucket/x.csv"}}, "source.path", "UNSUPPORTED_SOURCE"),
        ({"operations": [], "source": {"path": "file:/etc/passwd"}}, "source.path", "UNSUPPORTED_SOURCE"),
        ({"operations": [], "source": {"path": "../x.csv"}}, "source.path", "PATH_REFUSED"),
        ({"operations": [], "source": {"path": "a/../../x.csv"}}, "source.path", "PATH_REFUSED"),
        ({"operations": [], "source": {"path": "~/x.csv"}}, "source.path", "PATH_REFUSED"),
        ({"operations": [], "source": {"path": "a\0.csv"}}, "source.path", "PATH_REFUSED"),
        ({"operations": [], "source": {"path": ""}}, "source.path", "PATH_REFUSED"),
        ({"operations": [], "source": {"path": "a", "format": "xml"}}, "source.format", "UNSUPPORTED_FORMAT"),
        ({"operations": [], "source": {"url": "ftp://host/a.csv"}}, "source.url", "BAD_URL"),
        ({"operations": [], "source": {"url": "https:///a.csv"}}, "source.url", "BAD_URL"),
        ({"operations": [], "source": {"url": "s3://Bucket_/a.csv"}}, "source.url", "BAD_URL"),
        ({"operations": [], "source": {"url": "s3://key:secret@bucket/a.csv"}}, "source.url", "BAD_URL"),
        ({"operations": [], "source": {"url": "s3://bucket/../other/a.csv"}}, "source.url", "BAD_URL"),
        ({"operations": [], "source": {"url": "s3://bucket/a.csv", "headers": {}}}, "source", "BAD_CONFIG"),
        ({"operations": [], "source": {"url": "https://h/a.csv", "region": "eu"}}, "source", "BAD_CONFIG"),
        (
            {"operations": [], "source": {"url": "s3://bucket/a.csv", "credentials": {"accountKey": "k"}}},
            "source",
            "BAD_CONFIG",
        ),
        ({"operations": [], "source": {"url": "az://bucket/a.csv"}}, "source", "BAD_CONFIG"),
        ({"operations": [], "source": {"database": "mysql://h/d", "query": "SELECT 1"}}, "source.database", "BAD_URL"),
        (
            {"operations": [], "source": {"database": "postgresql:///d?host=/tmp", "query": "SELECT 1"}},
            "source.database",
            "BAD_URL",
        ),
        (
            {"operations": [], "source": {"database": "postgresql://h/d?passfile=/etc/passwd", "query": "SELECT 1"}},
            "source.database",
            "BAD_URL",
        ),
        (
            {"operations": [], "source": {"database": "postgresql://one,two/d", "query": "SELECT 1"}},
            "source.database",
            "BAD_URL",
        ),
        (
            {"operations": [], "source": {"database": "sqlite:///../a.db", "query": "SELECT 1"}},
            "source.database",
            "BAD_URL",
        ),
        ({"operations": [], "source": {"database": "sqlite:///a.db"}}, "source.query", "MISSING_FIELD"),
        ({"operations": [], "sink": {"url": "s3://bucket/a"}}, "sink", "UNSUPPORTED_FORMAT"),
        ({"operations": [], "sink": {"url": "s3://bucket/*.csv"}}, "sink", "BAD_URL"),
        ({"operations": [], "sink": {"path": "a.ods"}}, "sink", "UNSUPPORTED_FORMAT"),
        ({"operations": [], "sink": {"table": "t"}}, "sink", "MISSING_FIELD"),
        ({"operations": [], "sink": {"database": "sqlite:///a.db", "table": "a;b"}}, "sink.table", "BAD_CONFIG"),
        ({"operations": [], "source": {"path": "a.csv", "separator": ";;"}}, "source.separator", "BAD_CONFIG"),
        ({"operations": [], "sink": {"path": "a.xml"}}, "sink", "UNSUPPORTED_FORMAT"),
        ({"operations": [], "sink": {"path": "a", "format": "xml"}}, "sink.format", "UNSUPPORTED_FORMAT"),
        ({"operations": [], "sink": {"path": "a.csv", "partitionBy": ["x"]}}, "sink", "BAD_CONFIG"),
        ({"operations": [], "schema": {"a": "intt"}}, "schema.a", "BAD_CONFIG"),
        ({"operations": [], "checks": [{"check": "nonull"}]}, "checks[0].check", "UNKNOWN_CHECK"),
        ({"operations": [], "checks": [{"check": "in_range", "column": "a"}]}, "checks[0]", "MISSING_FIELD"),
        (
            {"operations": [], "checks": [{"check": "expression", "expression": "a >"}]},
            "checks[0].expression",
            "BAD_EXPRESSION",
        ),
        (
            {"operations": [], "checks": [{"check": "not_null", "columns": ["a"], "severity": "INFO"}]},
            "checks[0].severity",
            "BAD_CONFIG",
        ),
    ],
)
def test_problems_outside_operations(config: dict[str, Any], path: str, code: str) -> None:
    assert [(problem.path, problem.code) for problem in data_problems(config)] == [(path, code)]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just("{{ x }}"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["op", "by", "with", "path", "rows", "columns", "where", "check"]), inner)
    ),
    max_leaves=10,
)
operations = st.fixed_dictionaries(
    {"op": st.sampled_from(["filter", "sort", "join", "map", "cast", "sql", "window", "limit"]) | json_values},
    optional=dict.fromkeys(("by", "with", "where", "columns", "query", "on", "rows", "a"), json_values),
)


@given(
    config=st.fixed_dictionaries(
        {"operations": st.lists(operations, max_size=3) | json_values},
        optional={"source": json_values, "sink": json_values, "schema": json_values, "checks": json_values},
    )
)
def test_whatever_is_saved_gives_problems_and_no_error(config: dict[str, Any]) -> None:
    assert all(problem.path and problem.code.isupper() for problem in data_problems(config))


def test_all_problems_come_at_once() -> None:
    config = {"operations": [{"op": "x"}, {"op": "sort"}, {"op": "limit", "rows": -1}], "source": {}, "extra": 1}
    assert len(data_problems(config)) == 5


@pytest.mark.parametrize(
    "config",
    [
        {"operations": "{{ inputs.operations }}"},
        {"operations": [{"op": "limit", "rows": "{{ inputs.rows }}"}]},
        {"operations": [{"op": "filter", "where": "{{ inputs.where }}"}]},
        {"operations": [{"op": "filter", "where": "delay > {{ inputs.min }} AND {{ inputs.more }}"}]},
        {"operations": [{"op": "sort", "by": "{{ inputs.by }}"}]},
        {"operations": [{"op": "unique", "keep": "{{ inputs.keep }}"}]},
        {"operations": [{"op": "cast", "columns": {"a": "{{ inputs.type }}"}}]},
        {"operations": [{"op": "sql", "query": "SELECT {{ inputs.columns }} FROM self"}]},
        {"operations": [{"op": "window", "columns": {"a": "{{ inputs.call }}"}}]},
        {"operations": [], "source": {"path": "{{ inputs.path }}"}},
        {"operations": [], "source": {"rows": "{{ inputs.rows }}"}},
        {"operations": [], "source": "{{ inputs.source }}"},
        {"operations": [], "sink": {"path": "{{ inputs.path }}", "format": "{{ inputs.format }}"}},
        {"operations": [], "schema": "{{ inputs.schema }}", "checks": "{{ inputs.checks }}"},
    ],
)
def test_values_still_to_be_filled_in_are_not_judged(config: dict[str, Any]) -> None:
    assert data_problems(config) == []


def test_structure_is_judged_beside_templates() -> None:
    config = {"operations": [{"op": "limit", "rows": "{{ inputs.rows }}", "ofset": 1}, {"op": "sort"}]}
    assert [problem.code for problem in data_problems(config)] == ["UNKNOWN_FIELD", "MISSING_FIELD"]


def test_at_run_time_braces_are_only_text() -> None:
    with pytest.raises(ConfigInvalid, match=r"operations\[0\].where") as caught:
        parse_config({"operations": [{"op": "filter", "where": "{{ x }}"}]})
    assert caught.value.path == "operations[0].where"
    assert parse_config({"operations": [{"op": "filter", "where": "a = '{{ x }}'"}]})


@pytest.mark.parametrize("separator", ["", ";;", "é", "\n", "\r", '"', "\0", "\ud800"])
def test_what_cannot_separate_columns_is_refused(separator: str) -> None:
    for config in (
        {"source": {"path": "t.csv", "separator": separator}, "operations": []},
        {"operations": [], "sink": {"path": "t.csv", "separator": separator}},
    ):
        (problem,) = data_problems(config)
        assert problem.path.endswith(".separator")
        assert "one character of ASCII" in problem.message


def test_a_separator_may_be_filled_in_later() -> None:
    assert data_problems({"source": {"path": "t.csv", "separator": "{{ inputs.by }}"}, "operations": []}) == []
