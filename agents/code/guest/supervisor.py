"""Watches one run from outside and reports how it ended, as one JSON object on the status pipe:

    {"end": "exited" | "signalled" | "memory" | "cpu" | "stopped" | "setup", "code": int, "isolation": [str],
     "cpuSeconds": float, "peakMemory": int, "message": str}

`code` is the exit code or the signal's number. On SIGTERM everything is killed and `stopped` is reported; when the
worker dies the kernel kills the supervisor, then init, then the namespace.
"""

import json
import os
import select
import signal
import sys
from contextlib import suppress
from types import FrameType
from typing import Any

from agents.code.guest import init, isolation, linux, usage
from agents.code.guest.launch import Launch

POLL_SECONDS = 0.025


class Stopped(BaseException):
    """The worker asked for the end."""


def main() -> None:
    """The guest's entry point."""
    launch = Launch.from_argument(sys.argv[1])
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # until there is somebody to kill
    signal.signal(signal.SIGTERM, _stop)
    linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)
    linux.prctl(linux.PR_SET_CHILD_SUBREAPER, 1)
    uid = isolation.unprivileged_uid()
    separated = isolation.enter_namespaces()
    reports, report_to = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reports)
        os.close(launch.status_fd)
        init.run(launch, uid, separated, report_to)
    for descriptor in (0, 1, 2, launch.result_fd, report_to):
        os.close(descriptor)
    _report(launch.status_fd, watch(launch, child, reports))


def _stop(_signal: int, _frame: FrameType | None) -> None:
    raise Stopped


def watch(launch: Launch, child: int, reports: int) -> dict[str, Any]:
    """Until init has reported the program's end, or a limit is passed; nothing of the run is alive afterwards."""
    peak, cpu = 0, 0.0
    ended: dict[str, Any] | None = None
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        while ended is None:
            if select.select([reports], [], [], POLL_SECONDS)[0]:
                ended = _received(reports)
                break
            pids = usage.descendants(child)
            peak, cpu = max(peak, usage.memory_bytes(pids, launch.memory)), usage.cpu_seconds([child, *pids])
            ended = _over_limit(launch, peak, cpu)
    except Stopped:
        ended = {"end": "stopped", "code": 0}
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _kill_all(child)
    return {"cpuSeconds": cpu, "peakMemory": peak, **ended}


def _over_limit(launch: Launch, memory: int, cpu: float) -> dict[str, Any] | None:
    if memory > launch.memory:
        return {"end": "memory", "code": 0}
    if cpu > launch.cpu:
        return {"end": "cpu", "code": 0}
    return None


def _received(reports: int) -> dict[str, Any]:
    text = os.read(reports, 65536)
    if not text:
        return {"end": "signalled", "code": int(signal.SIGKILL)}
    message: dict[str, Any] = json.loads(text)
    return message


def _kill_all(child: int) -> None:
    """With init goes its whole namespace; without one, what it leaves comes here, because this is a subreaper too."""
    _kill(child)
    _reap(child)
    while alive := usage.descendants(os.getpid()):
        for pid in alive:
            _kill(pid)
            _reap(pid)


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _reap(pid: int) -> None:
    with suppress(ChildProcessError):
        os.waitpid(pid, 0)


def _report(descriptor: int, message: dict[str, Any]) -> None:
    with suppress(BrokenPipeError):
        os.write(descriptor, json.dumps(message).encode())
