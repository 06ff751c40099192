"""Listening sockets that the stack opens before it starts anything and keeps while the process behind one restarts."""

import errno
import socket

from deployments.local.errors import StackError

LOOPBACK = "127.0.0.1"
BACKLOG = 2048


def listen(port: int, *, option: str) -> socket.socket:
    """A socket that listens on loopback; port 0 takes any free one. Raises `StackError` naming port and option."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((LOOPBACK, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise _refused(port, option, error) from error
    listener.setblocking(False)
    return listener


def port_of(listener: socket.socket) -> int:
    """The port that the socket listens on."""
    return int(listener.getsockname()[1])


def _refused(port: int, option: str, error: OSError) -> StackError:
    if error.errno == errno.EADDRINUSE:
        return StackError(
            f"port {port} is taken by another program",
            hint=f"choose another one with `{option} PORT`, or `{option} 0` for any free one",
        )
    if error.errno == errno.EACCES:
        return StackError(
            f"port {port} may not be opened by this user", hint=f"choose one above 1023 with `{option} PORT`"
        )
    return StackError(f"port {port} cannot be opened: {error.strerror}", hint=f"choose another one with `{option}`")
