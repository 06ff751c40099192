"""The one way out of a run's own network: a listening port on its loopback, whose other side is the worker's.

A socket belongs to the network that it was made in, whoever holds it. So the run's first process makes a listening one
and hands it out before the walls stand; the worker accepts what the program connects, and decides where it leads.
"""

import fcntl
import os
import socket
import struct

ADDRESS = ("127.0.0.1", 3128)
PROXY_URL = "http://{}:{}".format(*ADDRESS)
BACKLOG = 64
SET_INTERFACE_FLAGS = 0x8914
INTERFACE_IS_UP = 0x1
LISTENER = b"listener"


def hand_out(descriptor: int) -> None:
    """Sends the listening socket over the socket `descriptor`, and keeps neither. Needs rights on this network."""
    with socket.socket(fileno=descriptor) as channel, socket.socket() as listener:
        request = struct.pack("16sH14x", b"lo", INTERFACE_IS_UP)
        fcntl.ioctl(listener, SET_INTERFACE_FLAGS, request)
        listener.bind(ADDRESS)
        listener.listen(BACKLOG)
        socket.send_fds(channel, [LISTENER], [listener.fileno()])


def taken(channel: socket.socket) -> socket.socket:
    """The worker's side; raises `OSError` where the run ended before it had one."""
    message, descriptors, _, _ = socket.recv_fds(channel, len(LISTENER), 1)
    if message != LISTENER or not descriptors:
        raise ConnectionError("the program's network was not handed out")
    os.set_inheritable(descriptors[0], False)
    return socket.socket(fileno=descriptors[0])
