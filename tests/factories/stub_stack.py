"""The command line with a real PostgreSQL and stand-ins for everything that is slow: `python stub_stack.py up …`.

`STUB_PREFECT`, `STUB_API` and `STUB_WORKER` are programs; without one the stand-in answers 200 to everything.
`STUB_GRACE_SECONDS` is how long they may take to end.
"""

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path

from deployments import cli
from deployments.local import preparation, services, sources, stack
from deployments.local.environment import inherited
from deployments.local.process import Command
from deployments.local.services import Blueprint
from tests.factories.stack_stubs import SERVER, python

PREPARED = 'print(\'{"adminEmail": "admin@turbocat.localhost", "generatedPassword": "Pass-word-1"}\')'
IDLE = "import signal, sys, threading; signal.signal(signal.SIGTERM, lambda *_: sys.exit(0)); threading.Event().wait()"
TAKES_RUNS = """
import json, os, pathlib
pathlib.Path(os.environ["TURBOCAT_DATA_DIR"], "worker.json").write_text(json.dumps({"pid": os.getpid()}))
"""
"""What tells `up` that a worker is ready."""


def stand_in(
    make: Callable[[Blueprint], Command], variable: str, code: str, *, first: str = ""
) -> Callable[[Blueprint], Command]:
    """The same part with another program behind it."""

    def stub(plan: Blueprint) -> Command:
        command = make(plan)
        program = inherited().get(variable, code)
        grace = float(inherited().get("STUB_GRACE_SECONDS", command.grace_seconds))
        arguments = python(first + program, *map(str, command.descriptors))
        return dataclasses.replace(command, arguments=arguments, grace_seconds=grace)

    return stub


if __name__ == "__main__":
    stack.prefect_command = stand_in(services.prefect_command, "STUB_PREFECT", SERVER)
    stack.api_command = stand_in(services.api_command, "STUB_API", SERVER)
    stack.worker_command = stand_in(services.worker_command, "STUB_WORKER", IDLE, first=TAKES_RUNS)
    if "STUB_SOURCES" in inherited():
        sources.source_folders = lambda: (Path(inherited()["STUB_SOURCES"]),)
    preparation.arguments = lambda plan: python(inherited().get("STUB_PREPARE", PREPARED))
    sys.argv[0] = "turbocat"
    cli.main()
