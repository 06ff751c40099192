"""What remains when the stack's own process is killed: a small process that then ends every child.

It is forked before anything is started, in a session of its own, and reads a pipe whose other end only the stack
holds. When that end closes without a farewell, the stack is gone: each child gets its signal, whatever is left of its
process group is killed after a grace, and the stack's own file is removed. It keeps the folder's lock meanwhile.
"""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

GRACE_SECONDS = 5.0
POLL_SECONDS = 0.05
FAREWELL = "bye"


class Guard:
    """The stack's end of the pipe."""

    def __init__(self, *, state_file: Path, grace_seconds: float = GRACE_SECONDS) -> None:
        reader, self._writer = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._writer)
            _serve(reader, state_file, grace_seconds)
        os.close(reader)

    def watch(self, pid: int, stop_signal: int) -> None:
        """From now on this process, and its process group if it leads one, ends with the stack."""
        self._tell(f"+ {pid} {int(stop_signal)}")

    def forget(self, pid: int) -> None:
        """The process has ended; its pid may soon be another's."""
        self._tell(f"- {pid} 0")

    def dismiss(self) -> None:
        """Ends the guard without harm to anyone; returns when it is gone."""
        if self._writer < 0:
            return
        self._tell(FAREWELL)
        os.close(self._writer)
        self._writer = -1
        with suppress(ChildProcessError):
            os.waitpid(self.pid, 0)

    def unleash(self) -> None:
        """Lets the guard end what it watches, as if this process were gone; does not wait for it."""
        os.close(self._writer)
        self._writer = -1

    def _tell(self, line: str) -> None:
        with suppress(BrokenPipeError):
            os.write(self._writer, f"{line}\n".encode())


def _serve(reader: int, state_file: Path, grace_seconds: float) -> None:
    """The forked side; never returns. Nothing of the parent's interpreter (atexit, buffers) may run here."""
    status = 1
    try:
        os.setsid()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        watched = _listen(reader)
        if watched is not None:
            end_all(watched, grace_seconds)
            state_file.unlink(missing_ok=True)
        status = 0
    finally:
        os._exit(status)


def _listen(reader: int) -> dict[int, int] | None:
    """Follows the pipe to its end: the processes still watched with their signals, or None after a farewell."""
    watched: dict[int, int] = {}
    with os.fdopen(reader, encoding="ascii") as lines:
        for line in lines:
            if line.strip() == FAREWELL:
                return None
            verb, pid, number = line.split()
            if verb == "+":
                watched[int(pid)] = int(number)
            else:
                watched.pop(int(pid), None)
    return watched


def end_all(watched: dict[int, int], grace_seconds: float) -> None:
    """Signals each process in reverse order of start, waits, and kills what is left of their process groups."""
    for pid, number in reversed(watched.items()):
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)
    deadline = time.monotonic() + grace_seconds
    while time.monotonic() < deadline and any(_exists(pid) for pid in watched):
        time.sleep(POLL_SECONDS)
    for pid in watched:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
