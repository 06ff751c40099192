"""What is set aside before a process begins its work, and what it forks."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys

import psutil
import pytest

from deployments.worker.fork_server import ForkServer, ForkServerLost
from tests.fixtures.fork_servers import fork_server

SET_ASIDE = """
import asyncio, socket
from deployments.worker.fork_server import ForkServer, set_aside

loaded = object()

def main(channel):
    channel.sendall(str(id(loaded)).encode())

async def run(control):
    server = await ForkServer.connect(control)
    ours, theirs = socket.socketpair()
    with theirs:
        child = await server.fork(theirs)
    await child.ended.wait()
    assert int(ours.recv(100)) == id(loaded)

asyncio.run(run(set_aside(main)))
print("the same")
"""


def test_what_was_loaded_before_is_there_in_every_process() -> None:
    done = subprocess.run([sys.executable, "-c", SET_ASIDE], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("the same\n", "", 0)


async def test_a_process_is_told_as_ended_once_it_is_gone() -> None:
    async with asyncio.timeout(20):
        with fork_server("main") as control:
            async with contextlib.aclosing(await ForkServer.connect(control)) as server:
                ours, theirs = socket.socketpair()
                with ours, theirs:
                    first, second = await asyncio.gather(server.fork(theirs), server.fork(theirs))
                first.kill()
                await first.ended.wait()
                assert not psutil.pid_exists(first.pid)
                await second.ended.wait()  # its channel was closed
                assert not psutil.pid_exists(second.pid)
                first.kill()  # without effect


async def test_a_fork_that_nobody_waits_for_is_not_given_to_another() -> None:
    async with asyncio.timeout(20):
        with fork_server("main") as control:
            async with contextlib.aclosing(await ForkServer.connect(control)) as server:
                ours, theirs = socket.socketpair()
                with ours, theirs:
                    given_up = asyncio.create_task(server.fork(theirs))
                    await asyncio.sleep(0)
                    given_up.cancel()
                    with pytest.raises(asyncio.CancelledError):
                        await given_up
                ours, theirs = socket.socketpair()
                with theirs:
                    child = await server.fork(theirs)
                assert ours.recv(100) == b'{"ready": true}\n'
                ours.close()
                await child.ended.wait()


async def test_a_server_that_is_gone_is_told_and_ends_no_wait() -> None:
    async with asyncio.timeout(20):
        with fork_server("main") as control:
            async with contextlib.aclosing(await ForkServer.connect(control)) as server:
                ours, theirs = socket.socketpair()
                with ours:
                    with theirs:
                        child = await server.fork(theirs)
                    parent = psutil.Process(child.pid).ppid()
                    os.kill(parent, signal.SIGSTOP)
                    with theirs_of_another() as channel:
                        waiting = asyncio.create_task(server.fork(channel))
                        await asyncio.sleep(0)
                        os.kill(parent, signal.SIGKILL)
                        with pytest.raises(ForkServerLost):
                            await waiting
                        with pytest.raises(ForkServerLost):
                            await server.fork(channel)
                    await child.ended.wait()
                    with pytest.raises(ForkServerLost):
                        await server.lost()


def theirs_of_another() -> socket.socket:
    ours, theirs = socket.socketpair()
    ours.close()
    return theirs
