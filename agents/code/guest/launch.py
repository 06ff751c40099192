"""What a run's guest is told at its start. Travels as JSON, so nothing secret may be in it."""

import json
from dataclasses import asdict, dataclass
from typing import Any

NAMESPACES, LANDLOCK, NO_WALLS = "namespaces", "landlock", "none"
"""The kinds of walls."""
GO = b"go"


@dataclass(frozen=True, kw_only=True)
class Launch:
    """Sizes are in bytes, times in seconds, paths this machine's."""

    walls: str
    language: str
    interpreter: str
    harness: str
    """The folder of the programs that run the user's code."""
    readable: tuple[str, ...]
    """What the program may read, where it exists: the system's libraries, the interpreter, packages."""
    import_from: tuple[str, ...]
    """Folders on Python's path, whose names can be listed; of what is in them only `readable` can be read."""
    datasets: dict[str, str]
    work: str
    """The work folder, where walls do not bring one of their own."""
    prewarmed: bool
    network: bool = False
    """Whether the program gets the one way out that `network` makes; a descriptor for it is the program's fifth."""
    certificates: str = ""
    """A file of certificates of authorities, where the program has a network."""
    cgroups: bool
    """Whether control groups are to be used where they can be."""
    waits: bool = False
    """Whether the program's job comes later: the watcher is told by `GO` on the control channel."""
    memory: int
    disk: int
    inodes: int
    cpu: float
    processes: int
    open_files: int

    def encoded(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @classmethod
    def decoded(cls, message: bytes) -> "Launch":
        fields: dict[str, Any] = json.loads(message)
        return cls(**{**fields, "readable": tuple(fields["readable"]), "import_from": tuple(fields["import_from"])})
