"""Results too large for the record, in a local folder, stored under the hash of their content.

A file appears whole or not at all: it is written beside its place, flushed to disk and renamed. The same content is
kept once, so that a repeated step costs no space.
"""

import asyncio
import hashlib
import os
import re
from pathlib import Path
from uuid import uuid4

from agents.errors import InputInvalid
from agents.result import DatasetRef

_URI = re.compile(r"^tc://([0-9a-f]{2})/([0-9a-f]{64})(\.[a-z0-9]{1,10})$")
_CHUNK_BYTES = 1 << 20


class LocalResultStore:
    """Implements `flows.runtime.ports.ResultStore` over a folder."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()
        self._staging = self._root / "staging"
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._root.chmod(0o700)  # code of tenants may run as another user of this machine
        self._staging.mkdir(exist_ok=True)

    def stage(self, suffix: str = ".parquet") -> Path:
        """A fresh path beside the stored files, to be written by the caller."""
        return self._staging / f"{uuid4().hex}{suffix}"

    async def keep(self, staged: Path, *, rows: int, columns: dict[str, str]) -> DatasetRef:
        """Takes a staged file in; its old path is gone afterwards."""
        uri, size = await asyncio.to_thread(self._take_in, staged)
        return DatasetRef(uri=uri, format=staged.suffix.removeprefix("."), rows=rows, bytes=size, columns=columns)

    async def keep_json(self, payload: bytes) -> str:
        """Stores JSON and returns its uri."""
        return await asyncio.to_thread(self._write_json, payload)

    async def read_json(self, uri: str) -> bytes:
        """The bytes behind a uri that `keep_json` returned."""
        return await asyncio.to_thread(self.locate(uri).read_bytes)

    def locate(self, uri: str) -> Path:
        """The file behind a uri; raises `InputInvalid` for anything that this store never gave out."""
        match = _URI.match(uri)
        if match is None:
            raise InputInvalid(f"{uri!r} is no reference to a stored result", hint="hand on a step's output as it is")
        path = self._root / match[1] / f"{match[2]}{match[3]}"
        if not path.is_file():
            raise InputInvalid(f"The stored result {uri} is gone", hint="run the step that made it again")
        return path

    def _write_json(self, payload: bytes) -> str:
        staged = self.stage(".json")
        staged.write_bytes(payload)
        return self._take_in(staged)[0]

    def _take_in(self, staged: Path) -> tuple[str, int]:
        digest, size = _flush_and_hash(staged)
        folder = self._root / digest[:2]
        folder.mkdir(exist_ok=True)
        staged.replace(folder / f"{digest}{staged.suffix}")
        return f"tc://{digest[:2]}/{digest}{staged.suffix}", size


def _flush_and_hash(path: Path) -> tuple[str, int]:
    digest = hashlib.sha256()
    size = 0
    with path.open("rb") as file:
        os.fsync(file.fileno())
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
            size += len(chunk)
    return digest.hexdigest(), size
