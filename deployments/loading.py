"""Loading without looking for garbage."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def loading() -> Iterator[None]:
    """Inside it modules are imported and applications built: half a million objects, next to all of which stay.

    To look through all of them again and again for some that do not takes a quarter of a process's start, and a third
    of a second at a time later on; afterwards none of these is looked at any more.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
