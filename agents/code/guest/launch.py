"""What the worker tells the guest at start. Travels as one JSON argument, so nothing secret may be in it."""

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True, kw_only=True)
class Launch:
    """Sizes are in bytes, times in seconds; `packages` are the folders from which user code may import."""

    work: str
    result_fd: int
    status_fd: int
    memory: int
    disk: int
    cpu: float
    processes: int
    packages: tuple[str, ...]

    def to_argument(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_argument(cls, argument: str) -> "Launch":
        fields = json.loads(argument)
        return cls(**{**fields, "packages": tuple(fields["packages"])})
