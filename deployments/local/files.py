"""The data folder: who may read it, which file says what, and how a file appears whole or not at all."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deployments.local.errors import StackError

PRIVATE_FILE = 0o600
PRIVATE_FOLDER = 0o700
SHARED_FOLDER = 0o711
"""Passable, not readable: a database server that runs as another user must reach its own folder inside."""


@dataclass(frozen=True)
class DataFolder:
    """Paths inside the data folder of one stack."""

    root: Path

    @property
    def database(self) -> Path:
        return self.root / "postgres"

    @property
    def keys(self) -> Path:
        return self.root / "keys.json"

    @property
    def state(self) -> Path:
        """Written when the stack is ready, removed when it stops: `{apiUrl, prefectUrl, pid, …}`."""
        return self.root / "stack.json"

    @property
    def worker(self) -> Path:
        """Written by a worker that takes runs: `{pid}`."""
        return self.root / "worker.json"

    @property
    def lock(self) -> Path:
        return self.root / "stack.lock"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def prefect(self) -> Path:
        return self.root / "prefect"

    @property
    def data(self) -> Path:
        """Files that data agents of all tenants may read; what they write lies in `files`, a folder for each tenant."""
        return self.root / "data"

    def create(self) -> None:
        """Makes the folder, private to its owner. Raises `StackError` where that is not possible."""
        try:
            self.root.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER)
            self.root.chmod(SHARED_FOLDER if os.geteuid() == 0 else PRIVATE_FOLDER)
            for folder in (self.logs, self.prefect, self.data):
                folder.mkdir(exist_ok=True, mode=PRIVATE_FOLDER)
                folder.chmod(PRIVATE_FOLDER)
        except OSError as error:
            raise StackError(
                f"the data folder {self.root} cannot be written: {error.strerror}",
                hint="choose another one with `--data-dir PATH`",
            ) from error


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in the file; None where there is no such file or no JSON object in it."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Writes the object, readable by its owner alone; a reader sees the old file or the new one, never half of one."""
    staged = path.with_name(f".{path.name}.{os.getpid()}")
    staged.unlink(missing_ok=True)
    descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(content, file, indent=2)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    staged.replace(path)
