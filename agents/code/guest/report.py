"""What the processes of a guest tell each other and the worker: one JSON object, then the end of the stream.

    {"end": "exited" | "signalled" | "memory" | "cpu" | "processes" | "disk" | "stopped" | "setup",
     "code": int, "message": str, "cpuSeconds": float, "peakMemory": int}

`code` is the exit code or the signal's number.
"""

import json
import os
from typing import Any

MAX_BYTES = 65536


def send(descriptor: int, message: dict[str, Any]) -> None:
    try:
        os.write(descriptor, json.dumps(message).encode())
    except (BrokenPipeError, ConnectionResetError):
        return  # nobody waits for it any more


def receive(descriptor: int) -> dict[str, Any] | None:
    """None where the other side ended without a word."""
    text = os.read(descriptor, MAX_BYTES)
    message: dict[str, Any] | None = json.loads(text) if text else None
    return message


def ended(status: int) -> dict[str, Any]:
    """From what `wait` says of a process."""
    if os.WIFSIGNALED(status):
        return {"end": "signalled", "code": os.WTERMSIG(status)}
    return {"end": "exited", "code": os.WEXITSTATUS(status)}


def not_set_up(error: BaseException) -> dict[str, Any]:
    return {"end": "setup", "code": 0, "message": f"{type(error).__name__}: {error}"}
