"""A small clean process that forks a watcher for each run.

It is started by `exec` with an empty environment, so there is nothing of the worker's in its memory for a fork of a
fork to find. Each message on its channel is a `Launch` with descriptors: the program's input, output, errors and
answer, with a network the one to hand it out on (`network`), and the run's control channel. It ends when the channel is
closed; runs end by their own channels.
"""

import gc
import importlib
import os
import signal
import socket
import sys

from agents.code.guest import cgroups, linux, seccomp, watcher
from agents.code.guest.launch import Launch
from agents.code.guest.seccomp import Allowed

MESSAGE_BYTES = 262_144
DESCRIPTORS = 6
READY = b"ready"


def main() -> None:
    """`argv`: the channel's descriptor, then `import path:module` for what is to be loaded ahead."""
    channel = socket.socket(fileno=int(sys.argv[1]))
    _load(sys.argv[2:])
    cgroups.prepare()
    cgroups.sweep()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for memory_files in (False, True):
        seccomp.prepared(Allowed(memory_files=memory_files, sockets=True, attributes=True, sessions=True))
    gc.collect()
    gc.freeze()
    channel.send(READY)
    while _serve_next(channel):
        continue


def _load(modules: list[str]) -> None:
    for argument in modules:
        folder, _, name = argument.rpartition(":")
        sys.path.append(folder)
        importlib.import_module(name)
        sys.path.remove(folder)


def _serve_next(channel: socket.socket) -> bool:
    message, descriptors, _, _ = socket.recv_fds(channel, MESSAGE_BYTES, DESCRIPTORS)
    if not message:
        return False
    if os.fork() == 0:
        try:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            channel.close()
            linux.prctl(linux.PR_SET_DUMPABLE, 1)
            *program, control = descriptors
            watcher.run(Launch.decoded(message), program, control)
        finally:
            os._exit(1)
    for descriptor in descriptors:
        os.close(descriptor)
    return True
