"""A warm process without Prefect: does what the run's name says."""

import json
import os
import socket
from typing import Any


def main(channel: socket.socket) -> None:
    """Answers at once; `hold` answers when cancelled, `die` ends the process."""
    stream = channel.makefile("rw")
    _say(stream, {"ready": True})
    for line in stream:
        message = json.loads(line)
        if "cancel" in message:
            _say(stream, {"ended": message["cancel"], "status": 1})
            continue
        match message["run"]["name"]:
            case "die":
                os._exit(3)
            case "hold":
                continue
            case _:
                _say(stream, {"ended": message["run"]["id"], "status": 0})


def stillborn(_channel: socket.socket) -> None:
    """Ends before it is ready."""
    os._exit(1)


def _say(stream: Any, message: dict[str, Any]) -> None:
    stream.write(json.dumps(message) + "\n")
    stream.flush()
