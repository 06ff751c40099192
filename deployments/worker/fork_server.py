"""A copy of the worker that is set aside as soon as everything is imported; warm processes are forked from it.

What one process has imported the worker, the copy and all warm processes share: it is loaded once, and lies in memory
once. The copy runs nothing that starts a thread which a fork would lose: Polars is imported, never asked anything.

Both sides speak in records of five bytes: what happened or is wanted, and the process that it is about.
"""

import asyncio
import gc
import multiprocessing
import os
import signal
import socket
import struct
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import wait
from multiprocessing.context import ForkProcess
from typing import NoReturn

FORK, FORKED, KILL, ENDED = b"f", b"F", b"k", b"e"
_RECORD = struct.Struct("!ci")

Target = Callable[[socket.socket], None]
"""What a warm process runs: it serves the other end of the socket until that is closed."""


def set_aside(target: Target) -> socket.socket:
    """Forks the server and returns the worker's end of the line to it.

    To be called while this process has no thread of its own and no connection. The server ends with the worker.
    """
    ours, theirs = socket.socketpair()
    gc.freeze()  # what is never looked through again stays shared
    if os.fork() == 0:
        ours.close()
        serve(theirs, target)
    theirs.close()
    return ours


def serve(control: socket.socket, target: Target) -> NoReturn:
    """The server's whole life: forks and kills as it is told, and tells what has ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    children: dict[int, ForkProcess] = {}
    while True:
        ready = wait([control, *(child.sentinel for child in children.values())])
        for pid, child in list(children.items()):
            if child.sentinel in ready:
                child.join()
                del children[pid]
                _tell(control, ENDED, pid)
        if control in ready:
            _obey(control, children, target)


def _obey(control: socket.socket, children: dict[int, ForkProcess], target: Target) -> None:
    record, descriptors, _, _ = socket.recv_fds(control, _RECORD.size, 1)
    if len(record) < _RECORD.size:
        os._exit(0)  # the worker is gone; the children see for themselves
    command, pid = _RECORD.unpack(record)
    if command == FORK:
        channel = socket.socket(fileno=descriptors[0])
        child = multiprocessing.get_context("fork").Process(target=_begin, args=(control, channel, target), daemon=True)
        child.start()
        channel.close()
        assert child.pid is not None
        children[child.pid] = child
        _tell(control, FORKED, child.pid)
    elif pid in children:
        children[pid].kill()


def _begin(control: socket.socket, channel: socket.socket, target: Target) -> None:
    control.close()
    target(channel)


def _tell(control: socket.socket, what: bytes, pid: int) -> None:
    with suppress(ConnectionError):
        control.sendall(_RECORD.pack(what, pid))


class ForkServerLost(ConnectionError):
    """The fork server has ended, and this process cannot make another: it is no longer what it was when it forked."""


class Forked:
    """A process that the server has forked."""

    def __init__(self, pid: int, kill: Callable[[int], None]) -> None:
        self.pid = pid
        self.ended = asyncio.Event()
        """Set when nothing is left of it, or nobody is left to tell."""
        self._kill = kill

    def kill(self) -> None:
        """Ends it, which it may have done by itself."""
        self._kill(self.pid)


class ForkServer:
    """The worker's side of the line."""

    def __init__(self, control: socket.socket, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._control = control
        self._reader = reader
        self._writer = writer
        self._awaited: deque[asyncio.Future[Forked]] = deque()
        self._children: dict[int, Forked] = {}
        self._listener = asyncio.create_task(self._listen())

    @classmethod
    async def connect(cls, control: socket.socket) -> "ForkServer":
        """Takes over the line that `set_aside` has returned."""
        reader, writer = await asyncio.open_connection(sock=control)
        return cls(control, reader, writer)

    async def fork(self, channel: socket.socket) -> Forked:
        """A new process with the channel as its own; the caller closes its copy. Raises `ForkServerLost`."""
        self._require()
        forked: asyncio.Future[Forked] = asyncio.get_running_loop().create_future()
        self._awaited.append(forked)  # the server answers in the order in which it was asked
        socket.send_fds(self._control, [_RECORD.pack(FORK, 0)], [channel.fileno()])
        return await forked

    async def lost(self) -> None:
        """Raises `ForkServerLost` when the server has ended."""
        await asyncio.wait([self._listener])
        self._require()

    async def aclose(self) -> None:
        """Hangs up, which ends the server."""
        self._listener.cancel()
        await asyncio.gather(self._listener, return_exceptions=True)
        self._writer.close()

    def _require(self) -> None:
        if self._listener.done():
            raise ForkServerLost("the fork server has ended")

    def _kill(self, pid: int) -> None:
        """Asked of its parent: as soon as that has waited for it the number may be another process's."""
        with suppress(ConnectionError):
            self._control.send(_RECORD.pack(KILL, pid))

    async def _listen(self) -> None:
        try:
            while True:
                what, pid = _RECORD.unpack(await self._reader.readexactly(_RECORD.size))
                if what == ENDED:
                    self._children.pop(pid).ended.set()
                else:
                    self._add(Forked(pid, self._kill))
        except (asyncio.IncompleteReadError, ConnectionError):
            self._give_up()

    def _add(self, child: Forked) -> None:
        self._children[child.pid] = child
        forked = self._awaited.popleft()
        if not forked.done():  # nobody waits any more: the channel was closed, which ends the child
            forked.set_result(child)

    def _give_up(self) -> None:
        for forked in self._awaited:
            if not forked.done():
                forked.set_exception(ForkServerLost("the fork server has ended"))
        for child in self._children.values():
            child.ended.set()
