"""What programs go for, and whether any of it was touched."""

import hashlib
import os
import secrets
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CONTENT = "seen"


@dataclass
class Bait:
    """Listens, lies and lives as long as the attempts go on."""

    folder: Path
    listeners: dict[str, socket.socket]
    victim: subprocess.Popen[bytes]
    name: str
    secret: str = field(default_factory=lambda: f"plant-{secrets.token_hex(16)}")

    @property
    def shown(self) -> dict[str, Any]:
        """What programs are told."""
        return {
            "file": str(self.folder / "canary"),
            "folder": str(self.folder),
            "port": self.listeners["TCP"].getsockname()[1],
            "path": str(self.folder / "socket"),
            "datagrams": str(self.folder / "datagrams"),
            "name": self.name,
            "victim": self.victim.pid,
            "worker": os.getpid(),
            "digest": hashlib.sha256(self.secret.encode()).hexdigest(),
        }

    def touched(self) -> list[str]:
        """What of it was reached."""
        found = [name for name, listener in self.listeners.items() if _was_reached(listener)]
        found += ["the victim"] if self.victim.poll() is not None else []
        found += ["the canary"] if (self.folder / "canary").read_text() != CONTENT else []
        expected = {"canary", "socket", "datagrams"}
        return found + sorted({entry.name for entry in self.folder.iterdir()} - expected)


@contextmanager
def laid_out() -> Iterator[Bait]:
    """Outside of all folders that a sandbox replaces by its own, readable and writable for everybody."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=Path.home().anchor + "var/tmp")))
        folder.chmod(0o777)
        (folder / "canary").write_text(CONTENT)
        (folder / "canary").chmod(0o666)
        name = f"turbocat-bait-{secrets.token_hex(8)}"
        listeners = {
            "TCP": socket.create_server(("127.0.0.1", 0)),
            "path": _listening(str(folder / "socket"), socket.SOCK_STREAM),
            "name": _listening(f"\0{name}", socket.SOCK_STREAM),
            "datagrams": _listening(str(folder / "datagrams"), socket.SOCK_DGRAM),
        }
        for listener in listeners.values():
            stack.enter_context(listener)
            listener.setblocking(False)
        for path in ("socket", "datagrams"):
            (folder / path).chmod(0o777)
        victim = stack.enter_context(subprocess.Popen(["sleep", "3600"]))
        stack.callback(victim.kill)
        yield Bait(folder=folder, listeners=listeners, victim=victim, name=name)


def _listening(address: str, kind: socket.SocketKind) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, kind)
    listener.bind(address)
    if kind is socket.SOCK_STREAM:
        listener.listen()
    return listener


def _was_reached(listener: socket.socket) -> bool:
    try:
        if listener.type is socket.SOCK_DGRAM:
            listener.recv(1)
        else:
            listener.accept()[0].close()
    except BlockingIOError:
        return False
    return True
