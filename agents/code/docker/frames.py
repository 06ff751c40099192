"""What comes out of a container: the engine's frames, and in those of its standard output ours.

The engine's have a head of eight bytes (stream, three zeros, length), see "Stream format" of `ContainerAttach` in its
API. Ours are those of `agents.code.harness.container`.
"""

from collections.abc import Iterator

ENGINE_HEAD, OWN_HEAD = 8, 5
ENGINE_STDOUT = 1
MAX_FRAME_BYTES = 1 << 20
COMPLAINT_BYTES = 4096


class BrokenFrames(Exception):
    """The stream is none of ours: an image whose Python is not Python, or an engine that speaks another protocol."""


class Frames:
    """Fed with what the socket gives, whole or in parts; gives whole frames of ours."""

    def __init__(self) -> None:
        self.complaint = b""
        """What the container's first process wrote to its standard error: nothing, unless it could not even start."""
        self._engine = bytearray()
        self._own = bytearray()

    def feed(self, chunk: bytes) -> Iterator[tuple[int, bytes]]:
        """Kind and payload of every frame that is complete. Raises `BrokenFrames`."""
        self._engine += chunk
        while (frame := _taken(self._engine, ENGINE_HEAD, slice(4, 8))) is not None:
            stream, payload = frame
            if stream == ENGINE_STDOUT:
                self._own += payload
            else:
                self.complaint = (self.complaint + payload)[:COMPLAINT_BYTES]
        while (frame := _taken(self._own, OWN_HEAD, slice(1, 5))) is not None:
            yield frame


def _taken(buffer: bytearray, head: int, length: slice) -> tuple[int, bytes] | None:
    """The first frame, which leaves the buffer; None while it is not complete."""
    if len(buffer) < head:
        return None
    size = int.from_bytes(buffer[length])
    if size > MAX_FRAME_BYTES:
        raise BrokenFrames
    if len(buffer) < head + size:
        return None
    kind, payload = buffer[0], bytes(buffer[head : head + size])
    del buffer[: head + size]
    return kind, payload
