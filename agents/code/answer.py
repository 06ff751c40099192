"""Reads what a harness writes to descriptor 3: one line of JSON, its answer, then the files of `out/`.

    {"ok": true, "result": any}\\n
    {"ok": false, "failure": "raised" | "exit" | "result" | "memory" | "disk" | "processes", "type": str,
     "message": str, "frames": [{"line": int, "function": str, "text": str}]}\\n
    {"name": str, "bytes": int}\\n<that many bytes>            once for each file

The user's code can write there too, so nothing of it is believed: names are plain, sizes are bounded, and a stream that
does not fit is cut where it stops making sense.
"""

import json
import re
from pathlib import Path
from typing import BinaryIO

from agents.code.backend import Limits

PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
HEADER_BYTES = 4096
MAX_FILES = 64


class AnswerReader:
    """Fed with chunks as they come. Files are written to `folder` at once; without one they are passed over."""

    def __init__(self, limits: Limits, folder: Path | None) -> None:
        self.answer = b""
        self.files: list[str] = []
        self.what = ""
        """What there was too much of, once `feed` has said False: `result` or `files`."""
        self._limits = limits
        self._folder = folder
        self._line = bytearray()
        self._answered = self._broken = False
        self._file: BinaryIO | None = None
        self._file_left = 0
        self._room = limits.disk_bytes

    def feed(self, chunk: bytes) -> bool:
        """False where there is more than the limits allow."""
        while chunk and not self._broken:
            chunk = self._take_bytes(chunk) if self._file_left else self._take_line(chunk)
            if self.what:
                return False
        return True

    def close(self) -> None:
        """At the end of the stream. A file that was not finished is no file; an answer without newline is one."""
        if not self._answered:
            self.answer, self._answered = bytes(self._line), True
        if self._file is not None:
            self._file.close()
            self._file = None
            Path(self._file_path(self.files.pop())).unlink()

    def _take_line(self, chunk: bytes) -> bytes:
        head, newline, rest = chunk.partition(b"\n")
        self._line += head
        if len(self._line) > (HEADER_BYTES if self._answered else self._limits.result_bytes):
            self.what = "files" if self._answered else "result"
        elif newline:
            line = bytes(self._line)
            self._line.clear()
            self._take_header(line) if self._answered else self._take_answer(line)
        return rest

    def _take_answer(self, line: bytes) -> None:
        self.answer, self._answered = line, True

    def _take_header(self, line: bytes) -> None:
        try:
            header = json.loads(line)
            name, size = header["name"], header["bytes"]
        except (ValueError, TypeError, KeyError, RecursionError):
            self._broken = True
            return
        plain = isinstance(name, str) and PLAIN_NAME.fullmatch(name) and name not in self.files
        if self._folder is None or not plain or type(size) is not int or size < 0:
            self._broken = True
            return
        self._room -= size
        if self._room < 0 or len(self.files) >= MAX_FILES:
            self.what = "files"
            return
        self._open(name, size)

    def _open(self, name: str, size: int) -> None:
        self.files.append(name)
        file = Path(self._file_path(name)).open("xb")  # noqa: SIM115 - open until its bytes have come, or `close`
        if size == 0:
            file.close()
            return
        self._file, self._file_left = file, size

    def _take_bytes(self, chunk: bytes) -> bytes:
        assert self._file is not None
        part, rest = chunk[: self._file_left], chunk[self._file_left :]
        self._file.write(part)
        self._file_left -= len(part)
        if not self._file_left:
            self._file.close()
            self._file = None
        return rest

    def _file_path(self, name: str) -> str:
        assert self._folder is not None
        return str(self._folder / name)
