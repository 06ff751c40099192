"""`python -m deployments.start MODULE …` is `python -m MODULE …`, loaded faster: for processes that load much.

With `--when FD` before the module it goes on only when that descriptor, a pipe's, has come to its end.
"""

import importlib
import os
import sys
from collections.abc import Callable

from deployments.loading import loading


def main() -> int:
    """Goes on as the `main` of the module, whose command line is what follows its name."""
    del sys.argv[0]
    gate = None
    if sys.argv[0] == "--when":
        gate = int(sys.argv[1])
        del sys.argv[:2]
    with loading():
        run = command(sys.argv[0])
    if gate is not None:
        os.read(gate, 1)
        os.close(gate)
    return run()


def command(name: str) -> Callable[[], int]:
    """The `main` of a module, or of a package's `__main__`."""
    module = importlib.import_module(name)
    if hasattr(module, "__path__"):
        module = importlib.import_module(f"{name}.__main__")
    run: Callable[[], int] = module.main
    return run


if __name__ == "__main__":
    sys.exit(main())
