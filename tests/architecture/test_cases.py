"""The numbered security cases: each that touches what is built has a test that bears its number, by `mark.case(2)`.

A test bears the numbers of its function, its class and its module. The cases themselves are told in the security
specification; what a number stands for is said here in a few words.
"""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.architecture.tree import parsed, python_files, source

CASES = {
    1: "every route without a token, and paths that look like others",
    2: "tokens without an algorithm, a signature, a key id",
    3: "tokens of another key or algorithm, keys that tokens bring with them",
    4: "tokens of another time, issuer, audience, kind",
    5: "refresh tokens used twice, at once, after logout",
    6: "guessing passwords and keys, spoofed addresses, timing",
    7: "API keys: hashes, scopes, revoked, expired, owner gone",
    8: "tokens of resets and invitations: null, empty, reused, another's",
    9: "weak, default and missing secrets",
    10: "foreign origins",
    11: "another tenant's objects",
    12: "fields that are not the caller's to set",
    13: "roles that may not, also by way of nested references",
    14: "imports and templates run nothing and export no secret",
    18: "templates and expressions",
    19: "SQL in filters, sorting, searches",
    20: "paths and names of files",
    21: "regular expressions",
    22: "newlines in headers and logs, formulas, markup, odd characters",
    23: "YAML, pickle, XML",
    24: "bodies that are not what they say, duplicate keys",
    25: "large, compressed, endless and slow bodies",
    26: "JSON of great depth, many keys, odd numbers",
    27: "ten megabytes of parameters",
    28: "graphs of a thousand steps and ten thousand edges, whole and broken",
    29: "output without end, binary, without a newline",
    30: "signatures of webhooks",
    31: "secrets in every place that they could come out of",
    32: "processes that are killed before and after what they do, before and after it is recorded",
    33: "a database that restarts, is away, is crowded, or did what it seemed not to",
    34: "a Prefect that restarts or is away",
    35: "an API that restarts while clients listen",
    36: "the same trigger several times",
    37: "cancels in every state",
    38: "disks that are full",
    39: "clocks that jump, days that lack or repeat an hour",
    40: "programs that try to get out of their sandbox",
}
NOT_BUILT = {30: "nothing receives a webhook yet"}
"""Case → why no test bears its number. Cases 15-17 are held by their own modules where they are built."""
NUMBERS = re.compile(r"\b[Cc]ases? (\d+(?:(?:, and |, | and |-)\d+)*)")


def marks(path: Path) -> Iterator[int]:
    """Every number that is borne in the file; a mark on something that holds no test counts for nothing."""
    tree = parsed(path)
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark" and _has_tests(tree):
            yield from _numbers(node.value)
    for test in ast.walk(tree):
        is_class = isinstance(test, ast.ClassDef) and test.name.startswith("Test") and _has_tests(test)
        if isinstance(test, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and (is_class or _is_test(test)):
            for decorator in test.decorator_list:
                yield from _numbers(decorator)


def told(path: Path) -> set[int]:
    """Numbers that the file's docstrings speak of."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    texts = [ast.get_docstring(node) or "" for node in ast.walk(parsed(path)) if isinstance(node, documented)]
    found = [int(each) for run in NUMBERS.findall("\n".join(texts)) for each in re.findall(r"\d+", run)]
    return set(found) & set(CASES)


def test_each_case_that_is_built_has_a_test_that_bears_its_number() -> None:
    counted = Counter(number for path in python_files("tests") for number in marks(path))
    missing = [f"{number}: {CASES[number]}" for number in CASES if number not in NOT_BUILT and not counted[number]]
    assert missing == []
    assert [number for number in NOT_BUILT if counted[number]] == [], "built, so it leaves the table"
    assert [number for number in counted if not 1 <= number <= 40] == []


def test_who_speaks_of_a_case_bears_its_number() -> None:
    own = Path(__file__).name
    silent = {
        str(path): sorted(told(path) - set(marks(path)))
        for path in python_files("tests")
        if path.name.startswith("test_") and path.name != own
    }
    assert {path: numbers for path, numbers in silent.items() if numbers} == {}


def test_numbers_stand_in_marks_and_not_in_names() -> None:
    named = re.compile(r"def test_case_\d")
    assert [str(path) for path in python_files("tests") if named.search(source(path))] == []


def _has_tests(tree: ast.AST) -> bool:
    return any(_is_test(node) for node in ast.walk(tree))


def _is_test(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")


def _numbers(node: ast.expr) -> Iterator[int]:
    for call in ast.walk(node):
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "pytest.mark.case":
            yield from (each.value for each in call.args if isinstance(each, ast.Constant) and type(each.value) is int)
