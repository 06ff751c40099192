"""Coverage does not follow tests marked `unmeasured`: traced, what they go over once more takes twice the time."""

from collections.abc import Generator
from typing import Any

import pytest

from tests.fixtures.cost import untraced

TOLD_TO_CHILDREN = ("COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG")
"""Variables by which processes that a test starts learn that they are to be measured."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    """Fixtures are part of it, and processes that the test starts."""
    if item.get_closest_marker("unmeasured") is None:
        return (yield)
    with untraced(), pytest.MonkeyPatch.context() as patch:
        for name in TOLD_TO_CHILDREN:
            patch.delenv(name, raising=False)
        return (yield)
