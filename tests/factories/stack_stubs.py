"""Stand-ins for the parts of the stack: small programs that listen on an inherited socket and do as they are told."""

import socket
import sys
from collections.abc import Mapping
from pathlib import Path

from deployments.local.environment import inherited
from deployments.local.logs import RotatingLog
from deployments.local.ports import port_of
from deployments.local.probes import answers
from deployments.local.process import Command, ProcessService

SERVER = """
import http.server, os, signal, socket, sys

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/crash":
            print("crashing as told", flush=True)
            os._exit(7)
        body = str(os.getpid()).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args):
        pass

signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
server = http.server.HTTPServer(("127.0.0.1", 0), Handler, bind_and_activate=False)
server.socket.close()
server.socket = socket.socket(fileno=int(sys.argv[1]))
server.socket.setblocking(True)
print("serving", flush=True)
server.serve_forever()
"""


def python(code: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code, *arguments)


def server(name: str, listener: socket.socket, folder: Path, *, code: str = SERVER, **options: float) -> ProcessService:
    """A service behind which there is the server above."""
    descriptor = listener.fileno()
    command = Command(
        name=name,
        arguments=python(code, str(descriptor)),
        environment=inherited(),
        ready=answers(port_of(listener), "/", seconds=1.0),
        descriptors=(descriptor,),
        **options,
    )
    return ProcessService(command, log=RotatingLog(folder / f"{name}.log"))


def program(name: str, code: str, folder: Path, *, environment: Mapping[str, str] | None = None, **options: float):
    """A service that never answers: its program is `code`."""

    async def never() -> bool:
        return False

    command = Command(name=name, arguments=python(code), environment=environment or inherited(), ready=never, **options)
    return ProcessService(command, log=RotatingLog(folder / f"{name}.log"))
