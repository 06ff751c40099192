"""A child's output on disk: one file per process, rotated by size, with its last lines at hand."""

import os
from pathlib import Path
from typing import BinaryIO

MAX_BYTES = 10 * 1024 * 1024
KEPT = 3
TAIL_BYTES = 16_384


class RotatingLog:
    """Appends bytes to `path`; past `max_bytes` the file becomes `path.1`, and so on up to `kept` old ones."""

    def __init__(self, path: Path, *, max_bytes: int = MAX_BYTES, kept: int = KEPT) -> None:
        self.path = path
        self._max_bytes = max_bytes
        self._kept = kept
        self._file: BinaryIO | None = None
        self._size = 0

    def write(self, chunk: bytes) -> None:
        """Appends a chunk; rotation happens between chunks, so a line may be cut there."""
        if self._file is None:
            self._open()
        elif self._size + len(chunk) > self._max_bytes:
            self._rotate()
        assert self._file is not None
        self._file.write(chunk)
        self._size += len(chunk)

    def close(self) -> None:
        """Closes the file; a later `write` opens it again."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def tail(self, lines: int = 15) -> tuple[str, ...]:
        """The last lines, without trailing blank ones; empty where nothing was written."""
        try:
            with self.path.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - TAIL_BYTES))
                text = file.read().decode("utf-8", "replace")
        except FileNotFoundError:
            return ()
        return tuple(line for line in text.splitlines() if line.strip())[-lines:]

    def _open(self) -> None:
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._file = os.fdopen(descriptor, "ab", buffering=0)
        self._size = os.fstat(descriptor).st_size

    def _rotate(self) -> None:
        self.close()
        for index in range(self._kept, 0, -1):
            source = self.path if index == 1 else self._numbered(index - 1)
            if source.exists():
                source.replace(self._numbered(index))
        self._open()

    def _numbered(self, index: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{index}")
