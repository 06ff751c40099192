"""Results too large for the record, in a local folder, stored under the hash of their content.

A file appears whole or not at all: it is written beside its place, flushed to disk and renamed. The same content is
kept once, so that a repeated step costs no space.
"""

import asyncio
import errno
import hashlib
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from agents.errors import InputInvalid, StorageFailed
from agents.result import DatasetRef

_URI = re.compile(r"^tc://([0-9a-f]{2})/([0-9a-f]{64})(\.[a-z0-9]{1,10})$")
_CHUNK_BYTES = 1 << 20
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@dataclass(frozen=True, kw_only=True)
class Stored:
    """A file under the hash of its content."""

    sha256: str
    suffix: str
    bytes: int

    @property
    def key(self) -> str:
        """Where it lies, below the store's root."""
        return f"{self.sha256[:2]}/{self.sha256}{self.suffix}"

    @property
    def uri(self) -> str:
        """What it is named in records."""
        return f"tc://{self.key}"

    def as_dataset(self, *, rows: int, columns: dict[str, str]) -> DatasetRef:
        """It as a table."""
        return DatasetRef(
            uri=self.uri,
            format=self.suffix.removeprefix("."),
            rows=rows,
            bytes=self.bytes,
            columns=columns,
            sha256=self.sha256,
        )


class StagedResults(ABC):
    """What stores share: a caller writes a file into `staging` of a local folder, and the store takes it in from there.

    Implements `flows.runtime.ports.ResultStore` where `locate` and `_take_in` are given; both block.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._staging = self._folder / "staging"
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder.chmod(0o700)  # code of tenants may run as another user of this machine
        self._staging.mkdir(exist_ok=True)

    def stage(self, suffix: str = ".parquet") -> Path:
        """A fresh local path, to be written by the caller."""
        return self._staging / f"{uuid4().hex}{suffix}"

    async def keep(self, staged: Path, *, rows: int, columns: dict[str, str]) -> DatasetRef:
        """Takes a staged file in; its old path is gone afterwards."""
        stored = await asyncio.to_thread(self._take_in, staged)
        return stored.as_dataset(rows=rows, columns=columns)

    async def keep_json(self, payload: bytes) -> str:
        """Stores JSON and returns its uri."""
        return await asyncio.to_thread(self._write_json, payload)

    async def read_json(self, uri: str) -> bytes:
        """The bytes behind a uri that `keep_json` returned."""
        return await asyncio.to_thread(self._read, uri)

    @abstractmethod
    def locate(self, uri: str) -> Path:
        """The file behind a uri; raises `InputInvalid` for anything that no store gave out or that is gone."""

    @abstractmethod
    def _take_in(self, staged: Path) -> Stored: ...

    def _write_json(self, payload: bytes) -> str:
        staged = self.stage(".json")
        with whole_or_gone(staged):
            staged.write_bytes(payload)
        return self._take_in(staged).uri

    def _read(self, uri: str) -> bytes:
        return self.locate(uri).read_bytes()


class LocalResultStore(StagedResults):
    """Keeps them in the folder itself."""

    def locate(self, uri: str) -> Path:
        path = self._folder / key_of(uri)
        if not path.is_file():
            raise gone(uri)
        return path

    def _take_in(self, staged: Path) -> Stored:
        with whole_or_gone(staged):
            stored = flush_and_hash(staged)
            target = self._folder / stored.key
            target.parent.mkdir(exist_ok=True)
            staged.replace(target)
        return stored


def key_of(uri: str) -> str:
    """Where the file behind a uri lies, below a store's root; raises `InputInvalid` for what no store gave out."""
    match = _URI.match(uri)
    if match is None:
        raise InputInvalid(f"{uri!r} is no reference to a stored result", hint="hand on a step's output as it is")
    return f"{match[1]}/{match[2]}{match[3]}"


def gone(uri: str) -> InputInvalid:
    """The error for a file that the store had once."""
    return InputInvalid(f"The stored result {uri} is gone", hint="run the step that made it again")


@contextmanager
def whole_or_gone(staged: Path) -> Iterator[None]:
    """A staged file that cannot be written takes no room that others may need; raises `StorageFailed`."""
    try:
        yield
    except OSError as error:
        staged.unlink(missing_ok=True)
        if error.errno in _FULL:
            message = "The disk of the result store is full; make room, then run the step again"
            raise StorageFailed(message, code="STORAGE_FULL") from error
        raise StorageFailed(f"A result could not be written to the result store: {error.strerror}") from error


def flush_and_hash(path: Path) -> Stored:
    """What the file is stored as; it outlasts a crash from now on."""
    digest = hashlib.sha256()
    size = 0
    with path.open("rb") as file:
        os.fsync(file.fileno())
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
            size += len(chunk)
    return Stored(sha256=digest.hexdigest(), suffix=path.suffix, bytes=size)
