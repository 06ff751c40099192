"""Whether coverage follows a test: this process, threads and processes that it starts."""

import os
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from types import FrameType
from typing import Any, cast

import pytest

from tests.bars.unmeasured import TOLD_TO_CHILDREN, pytest_runtest_protocol
from tests.fixtures.cost import untraced


@dataclass
class Item:
    """A test with or without the marker."""

    marker: pytest.Mark | None

    def get_closest_marker(self, name: str) -> pytest.Mark | None:
        return self.marker if name == "unmeasured" else None


def tracer(frame: FrameType, event: str, argument: Any) -> None:
    """Stands in for that of coverage; wants no lines."""


def followed() -> list[bool]:
    """Whether this thread, one that is started now, and one that a process is told, are."""
    seen: list[bool] = [sys.gettrace() is not None]
    thread = threading.Thread(target=lambda: seen.append(sys.gettrace() is not None))
    thread.start()
    thread.join()
    return [*seen, *(name in os.environ for name in TOLD_TO_CHILDREN)]


@pytest.mark.parametrize(("marker", "inside"), [(None, True), (pytest.mark.unmeasured.mark, False)])
def test_the_marker_decides(monkeypatch: pytest.MonkeyPatch, marker: pytest.Mark | None, inside: bool) -> None:
    for name in TOLD_TO_CHILDREN:
        monkeypatch.setenv(name, "told")
    with untraced():
        sys.settrace(tracer)
        threading.settrace(tracer)
        protocol = pytest_runtest_protocol(cast(pytest.Item, Item(marker)))
        next(protocol)
        assert set(followed()) == {inside}
        with suppress(StopIteration):
            protocol.send(None)
        assert set(followed()) == {True}
