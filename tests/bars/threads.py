"""A coverage plugin that keeps measuring from hanging a process, for ever and beyond the reach of signals.

Under `concurrency = greenlet` each thread's tracer has a `WeakKeyDictionary` with the thread's greenlet in it. When the
thread has ended, greenlet lets go of it from inside one of the interpreter's pending calls, in the main thread, and the
dictionary's callback, a function of Python, is traced there. CPython 3.11 then repeats the callback's first instruction
as long as anything else asks for the interpreter's attention, which cannot be given inside a pending call: seen as a
process that spins in `weakref.remove` when a second thread ended, or an alarm rang, at that moment. With a callback
that is no Python function there is nothing to trace.
"""

import weakref
from typing import Any

from coverage.collector import Collector
from coverage.plugin_support import Plugins

_start_tracer = Collector._start_tracer


class _ForgettingInC(weakref.WeakKeyDictionary[Any, Any]):
    def __init__(self, items: Any = None) -> None:
        super().__init__(items)
        self._remove = self.data.pop


def _started(collector: Collector) -> Any:
    ordinary = weakref.WeakKeyDictionary
    weakref.WeakKeyDictionary = _ForgettingInC  # type: ignore[misc]  # the tracer, written in C, asks the module for it
    try:
        return _start_tracer(collector)
    finally:
        weakref.WeakKeyDictionary = ordinary  # type: ignore[misc]


def coverage_init(registry: Plugins, options: Any) -> None:
    """Called by coverage before it measures."""
    Collector._start_tracer = _started  # type: ignore[method-assign]
