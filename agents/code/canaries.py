"""Tries a sandbox: a program inside goes for things of this process, and none of them may notice."""

import json
import os
import secrets
import socket
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agents.code.backend import Language, Limits, Probe, Program, SandboxBackend
from agents.errors import AgentError

PROBE_LIMITS = Limits(cpu_seconds=10, wall_seconds=30)
ATTEMPTS = """
import os, socket

def attempt(action):
    try:
        return action()
    except Exception:
        return None

def connected(family, address):
    with socket.socket(family) as client:
        client.settimeout(1)
        client.connect(address)
        return True

def environments():
    found = []
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        found.append(attempt(lambda: open(f"/proc/{pid}/environ", "rb").read().decode("latin-1")))
    return "".join(filter(None, found))

def main(input):
    return {
        "network": attempt(lambda: connected(socket.AF_INET, ("127.0.0.1", input["port"]))),
        "sockets": attempt(lambda: connected(socket.AF_UNIX, "\\0" + input["socket"])),
        "files": attempt(lambda: open(input["file"]).read()),
        "processes": attempt(lambda: os.kill(input["pid"], 0) or True),
        "environment": input["file"] in (attempt(environments) or "") or None,
        "privileges": attempt(lambda: os.setuid(0) or os.mkdir("/usr/canary") or True),
    }
"""
"""Each value is None where the attempt failed."""


@dataclass
class Bait:
    """What a program inside must not reach."""

    port: int
    socket: str
    file: str
    pid: int = field(default_factory=os.getpid)


class Silence:
    """Takes what the probe prints, which is of no interest."""

    def write(self, stream: str, chunk: bytes) -> bool:
        return True


async def probed(backend: SandboxBackend, languages: frozenset[Language]) -> Probe:
    """Whether the backend runs programs and, where it claims to be safe, holds back every attempt."""
    with _baits() as bait:
        program = Program(language=Language.PYTHON, code=ATTEMPTS, input=vars(bait))
        try:
            outcome = await backend.run(program, PROBE_LIMITS, Silence())
        except (AgentError, OSError) as error:
            return Probe(available=False, reason=str(error) or type(error).__name__)
    held_back = _held_back(outcome.answer)
    if held_back is None:
        how = outcome.reason or f"exit code {outcome.exit_code}, signal {outcome.signal}"
        return Probe(available=False, reason=f"the program that tries it did not come to its end ({how})")
    open_ways = sorted(name for name, held in held_back.items() if not held)
    if backend.safe and open_ways:
        return Probe(available=False, reason=f"it does not hold back: {', '.join(open_ways)}", canaries=held_back)
    return Probe(available=True, canaries=held_back, languages=languages)


@contextmanager
def _baits() -> Iterator[Bait]:
    name = f"turbocat-{secrets.token_hex(8)}"
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as listener:
        os.chmod(folder, 0o755)  # noqa: S103 - for the walls to hold back, not the rights of a file
        file = Path(folder) / "canary"
        file.write_text("seen")
        with socket.socket(socket.AF_UNIX) as named:
            named.bind(f"\0{name}")
            named.listen()
            yield Bait(port=listener.getsockname()[1], socket=name, file=str(file))


def _held_back(answer: bytes) -> Mapping[str, bool] | None:
    try:
        message: Any = json.loads(answer)
    except ValueError:
        return None
    if not isinstance(message, dict) or not isinstance(message.get("result"), dict):
        return None
    return {str(name): value is None for name, value in message["result"].items()}
