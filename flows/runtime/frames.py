"""What the steps of a body can name: a frame for each body, which sees the frames around it.

Nothing is copied for a step: a scope looks names up where they are.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import orjson

from flows.compiler.expressions import references
from flows.runtime.ports import ResultStore

_NOTHING: Mapping[str, Any] = MappingProxyType({})


class Frame:
    """The outputs of one body's steps, as far as they have ended, and the names that hold in it.

    `prefix` makes paths out of step keys. Outputs that lie in the result store are read when a step names them.
    """

    __slots__ = ("_stored", "names", "outputs", "parent", "prefix")

    def __init__(self, *, names: Mapping[str, Any] = _NOTHING, parent: "Frame | None" = None, prefix: str = "") -> None:
        self.names = names
        self.parent = parent
        self.prefix = prefix
        self.outputs: dict[str, dict[str, Any]] = {}
        """By step key, wrapped as expressions see them: `{"output": …}`."""
        self._stored: dict[str, str] = {}

    def inner(self, prefix: str, names: Mapping[str, Any] = _NOTHING) -> "Frame":
        """The frame of a body inside this one, such as `each[3].`; `names` hold in it and hide those outside."""
        return Frame(names=names, parent=self, prefix=f"{self.prefix}{prefix}")

    def path(self, key: str) -> str:
        """The path of a step of this body."""
        return f"{self.prefix}{key}"

    def put(self, key: str, output: Any) -> None:
        """The step has ended with this output."""
        self.outputs[key] = {"output": output}

    def put_stored(self, key: str, uri: str) -> None:
        """The step has ended with an output that lies in the result store."""
        self._stored[key] = uri

    async def output(self, key: str, results: ResultStore) -> Any:
        """The output of a step of this body; None when it has none."""
        if key in self._stored:
            self.put(key, orjson.loads(await results.read_json(self._stored[key])))
            self._stored.pop(key, None)
        return self.outputs.get(key, {}).get("output")

    async def scope(self, document: Any, results: ResultStore, **extra: Any) -> "Scope":
        """The names that `document` can use, with `extra` in front of them; what it names is read before."""
        frame: Frame | None = self
        while frame is not None:
            if frame._stored:
                for key in _named_steps(document).intersection(frame._stored):
                    await frame.output(key, results)
            frame = frame.parent
        return Scope(self, extra)


def _named_steps(document: Any) -> set[str]:
    paths = references(document)
    return {path[1] if path[0] == "steps" and len(path) > 1 else path[0] for path in paths if path}


class _Steps(Mapping[str, Any]):
    """`steps.*`: the outputs that a frame sees, the innermost first."""

    __slots__ = ("_frame",)

    def __init__(self, frame: Frame) -> None:
        self._frame = frame

    def __getitem__(self, key: str) -> Any:
        frame: Frame | None = self._frame
        while frame is not None:
            if key in frame.outputs:
                return frame.outputs[key]
            frame = frame.parent
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        frame: Frame | None = self._frame
        while frame is not None:
            yield from frame.outputs
            frame = frame.parent

    def __len__(self) -> int:
        return sum(1 for _ in self)


class Scope(Mapping[str, Any]):
    """What an expression in a frame can name: `extra`, names and steps from the inside out, and `steps`."""

    __slots__ = ("_extra", "_frame")

    def __init__(self, frame: Frame, extra: Mapping[str, Any]) -> None:
        self._frame = frame
        self._extra = extra

    def __getitem__(self, name: str) -> Any:
        if name in self._extra:
            return self._extra[name]
        frame: Frame | None = self._frame
        while frame is not None:
            if name in frame.names:
                return frame.names[name]
            if name in frame.outputs:
                return frame.outputs[name]
            frame = frame.parent
        if name == "steps":
            return _Steps(self._frame)
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        seen = set(self._extra)
        yield from self._extra
        frame: Frame | None = self._frame
        while frame is not None:
            fresh = [name for name in (*frame.outputs, *frame.names) if name not in seen]
            seen.update(fresh)
            yield from fresh
            frame = frame.parent

    def __len__(self) -> int:
        return sum(1 for _ in self)
