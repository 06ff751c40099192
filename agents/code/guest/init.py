"""The process between supervisor and program: prepares the surroundings, then collects whatever the program leaves."""

import json
import os
import signal
from typing import Any, NoReturn

from agents.code.guest import isolation, linux, program
from agents.code.guest.launch import Launch


def run(launch: Launch, uid: int | None, separated: set[str], report_to: int) -> NoReturn:
    """Never returns; its report is described in `supervisor`."""
    try:
        message = _supervise_program(launch, uid, separated, report_to)
    except Exception as error:
        message = {"end": "setup", "code": 0, "message": f"{type(error).__name__}: {error}"}
    os.write(report_to, json.dumps(message).encode())
    os._exit(0)


def _supervise_program(launch: Launch, uid: int | None, separated: set[str], report_to: int) -> dict[str, Any]:
    linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)
    linux.prctl(linux.PR_SET_CHILD_SUBREAPER, 1)
    if "processes" in separated:
        separated = separated | isolation.arrange_files(launch, uid)
    if uid is not None:
        os.chown(launch.work, uid, uid)
        separated = separated | {"user"}
    child = os.fork()
    if child == 0:
        os.close(report_to)
        try:
            program.run(launch, uid, own_process_count=uid is not None or "processes" in separated)
        finally:
            os._exit(1)  # code that closed our descriptors must not come back here, nor show where we are installed
    for descriptor in (0, 1, 2, launch.result_fd):
        os.close(descriptor)
    return {**_await_end(child), "isolation": sorted(separated)}


def _await_end(child: int) -> dict[str, Any]:
    while True:
        pid, status = os.wait()
        if pid != child:
            continue
        if os.WIFSIGNALED(status):
            return {"end": "signalled", "code": os.WTERMSIG(status)}
        return {"end": "exited", "code": os.WEXITSTATUS(status)}
