"""A coverage plugin: what the tracer keeps of greenlets, and what is not measured.

Under `concurrency = greenlet` each thread's tracer looks for the stack of the running greenlet at every call and every
return. In coverage's own `WeakKeyDictionary` that is a function of Python, which doubles what measuring costs. Worse,
it keeps processes hanging, for ever and beyond the reach of signals: when a thread has ended, greenlet lets go of its
main greenlet from inside one of the interpreter's pending calls, in the main thread, and the dictionary's callback is
traced there. CPython 3.11 then repeats the callback's first instruction as long as anything else asks for the
interpreter's attention, which cannot be given inside a pending call: seen as a process that spins in `weakref.remove`
when a second thread ended, or an alarm rang, at that moment. A plain dictionary calls nobody back; greenlets that are
dead leave when it has grown.
"""

import sys
import weakref
from collections.abc import Sequence
from typing import Any

from coverage.collector import Collector
from coverage.plugin_support import Plugins

UNMEASURED = {"deployments.commands.prefect_server", "deployments.commands.api"}
"""Servers that every run of the running stack goes through: a few lines of ours around one that is not ours, and the
API, which tests call inside of their own process. Tracing them costs as much time as they take."""
OF_A_STACK = "--fd"
"""A stack hands its servers their sockets; one that a test starts by itself is measured."""

_start_tracer = Collector._start_tracer


class _Greenlets(dict[Any, Any]):
    """Looked up by the dictionary's own code in C; only a new greenlet costs a call."""

    def __init__(self) -> None:
        super().__init__()
        self._room = 64

    def __setitem__(self, greenlet: Any, stack: Any) -> None:
        if len(self) >= self._room:
            for dead in [each for each in self if each.dead]:
                del self[dead]
            self._room = 2 * len(self) + 64
        super().__setitem__(greenlet, stack)


def is_unmeasured(command: Sequence[str]) -> bool:
    """Whether a process of this command line is left alone."""
    return OF_A_STACK in command and not UNMEASURED.isdisjoint(command)


def _started(collector: Collector) -> Any:
    if is_unmeasured(sys.orig_argv):
        return None
    ordinary = weakref.WeakKeyDictionary
    weakref.WeakKeyDictionary = _Greenlets  # type: ignore[misc, assignment]  # the tracer, written in C, asks the module
    try:
        return _start_tracer(collector)
    finally:
        weakref.WeakKeyDictionary = ordinary  # type: ignore[misc]


def coverage_init(registry: Plugins, options: Any) -> None:
    """Called by coverage before it measures."""
    Collector._start_tracer = _started  # type: ignore[method-assign]
