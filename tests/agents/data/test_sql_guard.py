import pytest

from agents.data.config import data_problems
from agents.data.sql_guard import check_expression, check_query
from agents.data.sql_tokens import BadSql
from tests.fixtures.cost import spent

FILE_READS = [
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM READ_CSV('/etc/passwd')",
    "SELECT * FROM read_csv ('/etc/passwd')",
    "SELECT * FROM read_csv/**/('/etc/passwd')",
    "SELECT * FROM read_csv -- x\n ('/etc/passwd')",
    "SELECT * FROM \"read_csv\"('/etc/passwd')",
    "SELECT * FROM `read_csv`('/etc/passwd')",
    "SELECT * FROM self, read_csv('/etc/passwd')",
    "SELECT * FROM self JOIN read_csv('/etc/passwd') AS x ON self.a = x.b",
    "SELECT * FROM self CROSS JOIN read_parquet('/etc/x.parquet')",
    "SELECT * FROM self WHERE a IN (SELECT * FROM read_csv('/etc/passwd'))",
    "SELECT * FROM self WHERE a IN (FROM read_csv('/etc/passwd'))",
    "SELECT * FROM self WHERE EXISTS (SELECT 1 FROM read_json('/etc/passwd'))",
    "SELECT (SELECT MAX(a) FROM read_ndjson('/etc/passwd')) AS m FROM self",
    "WITH t AS (SELECT * FROM read_ipc('/etc/passwd')) SELECT * FROM t",
    "SELECT * FROM self UNION ALL SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM (SELECT * FROM (SELECT * FROM read_csv('/etc/passwd')))",
    "SELECT * FROM scan_csv('/etc/passwd')",
    "SELECT * FROM read_csv('http://127.0.0.1/x')",
    "SELECT * FROM other_function('/etc/passwd')",
    "SELECT * FROM '/etc/passwd'",
    'SELECT * FROM "/etc/passwd"',
    "SELECT * FROM self, other_function('/etc/passwd')",
    "FROM read_csv('/etc/passwd')",
    "SELECT * FROM ｒead_csv('/etc/passwd')",
    "SELECT 'a' AS x, $$'$$ AS y, * FROM read_csv('/etc/passwd')",
    "SELECT E'\\' FROM self --' FROM read_csv('/etc/passwd')",
]
IN_EXPRESSIONS = [
    "a IN (SELECT x FROM read_csv('/etc/passwd'))",
    "a IN (FROM read_csv('/etc/passwd'))",
    "EXISTS (SELECT 1 FROM read_csv('/etc/passwd'))",
    "(SELECT MAX(x) FROM READ_PARQUET('/etc/x'))",
    "read_csv('/etc/passwd')",
    "a IN (SELECT 1)",
    "a IN (VALUES (1))",
    "(SELECT 1)",
]


@pytest.mark.parametrize("query", FILE_READS)
def test_queries_that_read_by_themselves_are_refused_when_saved(query: str) -> None:
    problems = data_problems({"operations": [{"op": "sql", "query": query}]})
    assert [problem.code for problem in problems] == ["BAD_EXPRESSION"]


@pytest.mark.parametrize("expression", IN_EXPRESSIONS)
def test_expressions_that_read_by_themselves_are_refused_when_saved(expression: str) -> None:
    for operation in (
        {"op": "filter", "where": expression},
        {"op": "map", "columns": {"x": expression}},
        {"op": "window", "columns": {"x": expression}},
        {"op": "sort", "by": [{"expression": expression}]},
        {"op": "reduce", "aggregations": {"x": expression}},
    ):
        problems = data_problems({"operations": [operation]})
        assert [problem.code for problem in problems] == ["BAD_EXPRESSION"], operation


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM self",
        "DROP TABLE self",
        "TRUNCATE TABLE self",
        "CREATE TABLE x AS SELECT * FROM self",
        "SHOW TABLES",
        "EXPLAIN SELECT * FROM self",
        "SELECT * FROM self; SELECT 1",
        "SELECT * FROM self; DROP TABLE self",
        "SELECT * FROM elsewhere",
        "SELECT * FROM self WHERE a IN (SELECT a FROM elsewhere)",
        "",
    ],
)
def test_only_one_select_over_given_tables_is_a_query(query: str) -> None:
    assert data_problems({"operations": [{"op": "sql", "query": query}]})


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM self",
        "SELECT carrier, COUNT(*) AS n FROM self GROUP BY carrier ORDER BY n DESC LIMIT 3 -- the busiest",
        "WITH late AS (SELECT * FROM self WHERE delay > 15) SELECT late.carrier FROM late JOIN planes USING (tailnum)",
        "SELECT EXTRACT(YEAR FROM day) AS y FROM self",
        "SELECT a IS DISTINCT FROM b AS differs FROM self",
        "SELECT * FROM SELF WHERE note = 'it''s; from nowhere -- really'",
        "SELECT * FROM self WHERE a IN (SELECT a FROM planes)",
        "SELECT x FROM UNNEST([1, 2]) AS t(x)",
    ],
)
def test_ordinary_queries_pass(query: str) -> None:
    operation = {"op": "sql", "query": query, "with": {"planes": {"input": "planes"}}}
    assert data_problems({"operations": [operation]}) == []


@pytest.mark.parametrize(
    "expression",
    [
        "dep_delay > 15 AND origin = 'JFK'",
        "distance / air_time * 60",
        "note = 'select * from x; -- no'",
        "CASE WHEN a BETWEEN 1 AND 3 THEN 'low' ELSE 'high' END",
        "EXTRACT(HOUR FROM at)",
        "SUM(values)",
        "a IN (1, 2, 3)",
        "\"a column\" || 'x'",
        "CAST(a AS DOUBLE) >= b::int",
        "RANK() OVER (PARTITION BY a ORDER BY b DESC NULLS LAST)",
    ],
)
def test_ordinary_expressions_pass(expression: str) -> None:
    assert data_problems({"operations": [{"op": "map", "columns": {"x": expression}}]}) == []


def bombs() -> list[str]:
    depth = 40
    return [
        "(" * 5_000 + "a" + ")" * 5_000,
        "a" + " + a" * 9_000,
        "a" + "::int" * 3_000,
        "CASE WHEN a THEN " * 500 + "a" + " END" * 500,
        "SUM(" * depth + "a" + ")" * depth,
        "CAST(" * 100 + "a" + " AS INT)" * 100,
        "ARRAY_GET(b, " * 8 + "a" + ")" * 8,
        "LEFT(" * 12 + "a" + ", 1)" * 12,
        "[" * 1_000 + "]" * 1_000,
        "'" * 9_999,
        "a" * 30_000,
        "a = '" + "x" * 30_000 + "'",
    ]


@pytest.mark.parametrize("expression", bombs(), ids=range(len(bombs())))
def test_expression_bombs_are_refused_quickly(expression: str) -> None:
    with spent() as cost, pytest.raises(BadSql):
        check_expression(expression)
    assert cost.seconds < 1  # a few hundredths; without the bound it never ends


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("a = 'x", "never closed"),
        ('"a', "never closed"),
        ("a; b", "no place here"),
        ("$$a$$", "no place here"),
        ("a /* b */", "comments are written as --"),
        ("E'a'", "put a blank"),
        ("a\0", "no place here"),
    ],
)
def test_odd_spellings_are_refused_with_the_reason(sql: str, reason: str) -> None:
    with pytest.raises(BadSql, match=reason):
        check_expression(sql)


def test_a_refused_table_is_told_what_there_is() -> None:
    with pytest.raises(BadSql, match='no table is called "x"; there are: self, planes'):
        check_query("SELECT * FROM x", ["self", "planes"])


@pytest.mark.parametrize(
    "call", ["LPAD(s, 2000000000, 'x')", "rpad(s, 1e9, ' ')", '"LPAD"(s, 10001)', "LPAD(s, 10_001)"]
)
def test_texts_are_not_padded_to_gigabytes(call: str) -> None:
    with pytest.raises(BadSql, match="padded to at most 10000 characters"):
        check_expression(call)
    check_expression("LPAD(s, 10000, 'x') || RPAD(s, 5)")
    check_expression("n > 2000000000")
