"""Standard output and standard error of user code, line by line into the log, bounded."""

from typing import Any

from agents.context import Log

LINE_BYTES = 8 * 1024
MAX_LINES = 10_000
CONTINUATION_MASK, CONTINUATION = 0xC0, 0x80


class OutputStream:
    """One stream of a running program.

    Lines longer than 8 KiB are logged in pieces; after 10,000 lines no more are logged; bytes that are no UTF-8 and
    NUL (which PostgreSQL cannot store) become the replacement character.
    """

    def __init__(self, name: str, level: str, log: Log, max_bytes: int) -> None:
        self.name = name
        self.exceeded = False
        """More than `max_bytes` came; nothing after them was logged."""
        self._level = level
        self._log = log
        self._left = max_bytes
        self._max_bytes = max_bytes
        self._lines = 0
        self._rest = b""

    def feed(self, chunk: bytes) -> bool:
        """False where there was too much; what comes after that is passed over."""
        if self.exceeded:
            return False
        self._take(chunk[: self._left])
        self._left -= len(chunk)
        if self._left < 0:
            self._finish_cut()
        return not self.exceeded

    def close(self) -> None:
        """At the end of the stream."""
        self._flush()

    def _take(self, chunk: bytes) -> None:
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            self._write_pieces(line)
        while len(self._rest) > LINE_BYTES:
            self._rest = self._write_piece(self._rest)

    def _write_pieces(self, line: bytes) -> None:
        while len(line) > LINE_BYTES:
            line = self._write_piece(line)
        self._write(line.removesuffix(b"\r"))

    def _write_piece(self, line: bytes) -> bytes:
        """Logs the start of a long line, cut between characters, and gives back the rest."""
        end = LINE_BYTES
        while end > LINE_BYTES - 4 and line[end] & CONTINUATION_MASK == CONTINUATION:
            end -= 1
        self._write(line[:end])
        return line[end:]

    def _flush(self) -> None:
        if self._rest:
            self._write_pieces(self._rest)
        self._rest = b""

    def _finish_cut(self) -> None:
        self._flush()
        self.exceeded = True
        self._note(f"{self.name} was cut here: it is limited to {self._max_bytes} bytes")

    def _write(self, line: bytes) -> None:
        self._lines += 1
        if self._lines > MAX_LINES:
            if self._lines == MAX_LINES + 1:
                self._note(f"further lines of {self.name} are not logged: there are more than {MAX_LINES}")
            return
        text = line.decode(errors="replace").replace("\0", "\ufffd")
        self._log(self._level, text, **self._metadata())

    def _note(self, text: str) -> None:
        self._log("WARN", text, **self._metadata())

    def _metadata(self) -> dict[str, Any]:
        return {"stream": self.name}


class OutputStreams:
    """Both streams of a program; implements `agents.code.backend.Streams`."""

    def __init__(self, log: Log, max_bytes: int) -> None:
        self._streams = {
            name: OutputStream(name, level, log, max_bytes) for name, level in (("stdout", "INFO"), ("stderr", "WARN"))
        }

    def write(self, stream: str, chunk: bytes) -> bool:
        """False where that was too much."""
        return self._streams[stream].feed(chunk)

    def close(self) -> None:
        """Logs what has no newline yet."""
        for stream in self._streams.values():
            stream.close()
