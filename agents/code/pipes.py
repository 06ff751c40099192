"""The pipes between a worker and one run: the ends that stay here, and those that the run's processes are handed."""

import contextlib
import os
import socket

from agents.code.guest.launch import GO

MAX_LATE_BYTES = 65_536
"""Of a job that comes when its program waits already: what an empty pipe takes at once."""


class Pipes:
    """Whoever makes them closes them; everything here may be closed again."""

    def __init__(self, job: bytes | None) -> None:
        """`job` is what the program reads; None where it comes later (`hand_over`)."""
        self.handed_over: list[int] = []
        """The program's descriptors in their order; the control channel comes behind them."""
        self._ours: set[int] = set()
        self._job = -1
        self.control, self._watchers = socket.socketpair()
        try:
            self.handed_over.append(self._late_job() if job is None else _in_memory(job))
            self.stdout, self.stderr, self.answer = self._output(), self._output(), self._output()
        except OSError:
            self.close()
            raise

    @property
    def descriptors(self) -> list[int]:
        """What a zygote takes."""
        return [*self.handed_over, self._watchers.fileno()]

    def is_alive(self) -> bool:
        """Whether the watcher has neither hung up nor reported an end."""
        with contextlib.suppress(BlockingIOError):
            self.control.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
            return False
        return True

    def hand_over(self, job: bytes) -> bool:
        """To the program that waits for it. False: nobody waits any more, or it is not taken whole; nothing runs then.

        Half a job is no JSON, so a program that got no more ends without having run any code.
        """
        if not self.is_alive():
            return False
        try:
            self.control.send(GO)
            written = os.write(self._job, job)
        except OSError:
            return False
        self.close_one(self._job)
        return written == len(job)

    def close_handed_over(self) -> None:
        """The run's processes have their own copies by now."""
        while self.handed_over:
            os.close(self.handed_over.pop())
        self._watchers.close()

    def close_one(self, descriptor: int) -> None:
        """One of those that are here."""
        if descriptor in self._ours:
            self._ours.remove(descriptor)
            os.close(descriptor)

    def close(self) -> None:
        """The control channel goes too, which ends what is not over."""
        self.close_handed_over()
        for descriptor in list(self._ours):
            self.close_one(descriptor)
        self.control.close()

    def _late_job(self) -> int:
        reading, self._job = os.pipe()
        os.set_blocking(self._job, False)  # a user with very many pipes gets small ones
        self._ours.add(self._job)
        return reading

    def _output(self) -> int:
        reading, writing = os.pipe()
        self.handed_over.append(writing)
        self._ours.add(reading)
        return reading


def _in_memory(text: bytes) -> int:
    """A descriptor that reads `text`."""
    descriptor = os.memfd_create("job", os.MFD_CLOEXEC)
    with open(descriptor, "wb", closefd=False) as file:
        file.write(text)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor
