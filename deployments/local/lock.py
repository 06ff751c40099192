"""One stack per data folder: an advisory lock that the kernel gives back when its holder dies, however it dies."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path


class FolderLock:
    """Held from `acquire` to `release`. The file holds the pid of its holder and stays when the lock is released."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def acquire(self) -> bool:
        """Whether the lock is ours now; False where another process holds it."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Gives the lock back; without effect when it is not held."""
        if self._descriptor is None:
            return
        os.ftruncate(self._descriptor, 0)
        os.close(self._descriptor)
        self._descriptor = None


def holder(path: Path) -> int | None:
    """The pid of the process that holds the lock; None when nobody does."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        with suppress(ValueError):
            return int(os.pread(descriptor, 32, 0).decode() or "0") or None
        return None
    else:
        return None
    finally:
        os.close(descriptor)
