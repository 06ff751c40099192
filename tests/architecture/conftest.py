"""These tests read our sources, and run what others measure."""

import pytest


def pytest_itemcollected(item: pytest.Item) -> None:
    """Those of this folder, not the whole session's."""
    item.add_marker("unmeasured")
