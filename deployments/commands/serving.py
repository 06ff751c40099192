"""Runs an ASGI application on a socket that the stack opened, or on a host and port of its own."""

import argparse
import socket
from collections.abc import Callable
from functools import partial
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.supervisors import Multiprocess

from deployments.loading import loading

SHUTDOWN_SECONDS = 5
"""How long open requests and event streams may go on after SIGTERM."""
SILENT_SECONDS = 60
"""How long one of several processes may give no sign before it is replaced: on a busy machine it takes seconds to load
the application, and one that is replaced meanwhile never gets there."""


def descriptor_argument(description: str) -> int | None:
    """The command line `[--fd N]`: the descriptor of an inherited listening socket, or None."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--fd", type=int, default=None, help="file descriptor of an inherited listening socket")
    descriptor: int | None = parser.parse_args().fd
    return descriptor


def serve(
    factory: Callable[[], FastAPI],
    *,
    host: str,
    port: int,
    descriptor: int | None,
    processes: int = 1,
    **options: Any,
) -> None:
    """Serves until SIGTERM or SIGINT, on one port with all `processes`; `options` are uvicorn's."""
    config = uvicorn.Config(
        partial(_loaded, factory),
        factory=True,
        host=host,
        port=port,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        timeout_worker_healthcheck=SILENT_SECONDS,
        workers=processes,
        **options,
    )
    if processes > 1:
        Multiprocess(config, sockets=[config.bind_socket()]).run()
        return
    sockets = None if descriptor is None else [socket.socket(fileno=descriptor)]
    uvicorn.Server(config).run(sockets=sockets)


def _loaded(factory: Callable[[], FastAPI]) -> FastAPI:
    with loading():
        return factory()
