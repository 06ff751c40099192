"""Tests that drive a running stack run one after another: two stacks at once are too much for a small machine."""

import re

import pytest

from tests.architecture.tree import python_files, source
from tests.fixtures.groups import ENGINE, NODE, STACK, group_of

_NEEDS_STACK = re.compile(r"pytest\.mark\.e2e|\blive: Live\b|\bstack: RunningStack\b")


def test_whatever_needs_a_stack_is_in_its_group() -> None:
    files = [
        path for path in python_files("tests") if path.name.startswith("test_") and path.parts[1] != "architecture"
    ]
    needing = [str(path) for path in files if _NEEDS_STACK.search(source(path))]
    assert len(needing) > 10
    assert [path for path in needing if group_of(f"{path}::test") != STACK] == []


@pytest.mark.parametrize(
    ("nodeid", "group"),
    [
        ("tests/e2e/test_runs.py::test_a[x@y]", STACK),
        ("tests/docs/client_typescript/test_client_e2e.py::test_a", STACK),
        ("tests/docs/client_typescript/test_client.py::test_a", NODE),
        ("tests/agents/code/docker/test_backend.py::test_a", ENGINE),
        ("tests/flows/test_states.py::test_a[e2e]", "tests/flows/test_states.py::test_a[e2e]"),
    ],
)
def test_the_group_follows_from_the_place(nodeid: str, group: str) -> None:
    assert group_of(nodeid) == group
