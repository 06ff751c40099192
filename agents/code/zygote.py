"""The worker's end of a zygote (`agents.code.guest.zygote`): starts it, hands runs to it, ends it."""

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from agents.code.backend import SandboxUnavailable
from agents.code.guest import zygote
from agents.code.guest.launch import Launch

PROJECT_ROOT = Path(__file__).resolve().parents[2]
ENTRY = f"import sys; sys.path.insert(0, sys.argv.pop(1)); from {zygote.__name__} import main; main()"
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "OPENBLAS_NUM_THREADS": "1"}
"""All of it. One thread for numpy's algebra: a process that forks must have no other."""
START_SECONDS = 30.0


class Zygote:
    """Started with its first run, and again where it has died. Bound to no event loop."""

    def __init__(self, preload: Sequence[str] = ()) -> None:
        """`preload` lists modules as `folder:module`."""
        self._preload = tuple(preload)
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None

    @property
    def pid(self) -> int | None:
        """None while there is none."""
        return None if self._process is None else self._process.pid

    async def launch(self, launch: Launch, descriptors: Sequence[int]) -> None:
        """Starts a run with the program's four descriptors and its control channel, which stay the caller's to close.

        Raises `SandboxUnavailable` where no zygote can be had.
        """
        message = launch.encoded()
        if self._channel is None or not self._sent(message, descriptors):
            await asyncio.to_thread(self._restart)
            if not self._sent(message, descriptors):
                raise SandboxUnavailable("the process that starts programs has ended")

    def offer(self, launch: Launch, descriptors: Sequence[int]) -> bool:
        """As `launch`, where there is a zygote; False where there is none."""
        try:
            return self._sent(launch.encoded(), descriptors)
        except SandboxUnavailable:
            return False

    def close(self) -> None:
        """Ends it; runs that it has started go on. It is started again when it is needed."""
        with self._lock:
            self._end()

    def _sent(self, message: bytes, descriptors: Sequence[int]) -> bool:
        channel = self._channel
        try:
            return channel is not None and socket.send_fds(channel, [message], list(descriptors)) == len(message)
        except (BrokenPipeError, ConnectionResetError):
            return False
        except OSError as error:
            raise SandboxUnavailable(f"the program could not be handed over: {error}") from None

    def _restart(self) -> None:
        with self._lock:
            if self._process is not None and self._process.poll() is None and self._channel is not None:
                return  # another run was first
            self._end()
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                self._process = _spawn(theirs.fileno(), self._preload)
            ours.settimeout(START_SECONDS)
            try:
                ready = ours.recv(len(zygote.READY)) == zygote.READY
            except OSError:
                ready = False
            ours.settimeout(None)
            self._channel = ours
            if not ready:
                self._end()
                raise SandboxUnavailable("the process that starts programs does not come up")

    def _end(self) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            self._process.wait()
            self._process = None


def _spawn(channel: int, preload: tuple[str, ...]) -> subprocess.Popen[bytes]:
    """`-I` ignores environment and user packages; `-S` saves the start-up files (`.pth`) of installed packages."""
    interpreter = os.path.realpath(sys.executable)
    return subprocess.Popen(  # noqa: S603 - its arguments are ours
        [interpreter, "-I", "-S", "-B", "-X", "utf8", "-c", ENTRY, str(PROJECT_ROOT), str(channel), *preload],
        stdin=subprocess.DEVNULL,
        pass_fds=(channel,),
        env=ENVIRONMENT,
        cwd="/",
        start_new_session=True,
    )
