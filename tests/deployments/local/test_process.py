"""One child process of the stack."""

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployments.local.errors import ServiceFailed
from deployments.local.pids import alive, ended
from deployments.local.ports import listen, port_of
from deployments.local.probes import http_status
from deployments.local.process import describe_exit
from tests.factories.stack_stubs import SERVER, program, server


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    opened = listen(0, option="--api-port")
    yield opened
    opened.close()


async def test_it_is_started_when_it_answers_and_gone_when_it_is_stopped(
    listener: socket.socket, tmp_path: Path
) -> None:
    service = server("api", listener, tmp_path)
    await service.start()
    pid = service.pid
    assert pid is not None
    assert await http_status(port_of(listener), "/") == 200
    await service.stop()
    await service.stop()
    assert service.pid is None
    assert not alive(pid)
    assert (tmp_path / "api.log").read_text() == "serving\n"


async def test_one_that_ends_before_it_answers_shows_its_last_words(tmp_path: Path) -> None:
    service = program("api", "import sys; print('no such table', file=sys.stderr); sys.exit(3)", tmp_path)
    with pytest.raises(ServiceFailed, match="api exited with code 3") as caught:
        await service.start()
    assert caught.value.lines == ("no such table",)
    assert str(tmp_path / "api.log") in caught.value.hint


async def test_one_that_takes_too_long_is_stopped(tmp_path: Path) -> None:
    service = program("api", "import time; time.sleep(60)", tmp_path, ready_seconds=0.3)
    with pytest.raises(ServiceFailed, match="was not ready after"):
        await service.start()
    assert service.pid is None


async def test_a_deaf_one_and_its_children_are_killed_after_the_grace(listener: socket.socket, tmp_path: Path) -> None:
    deaf = (
        "import signal, subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print(child.pid, flush=True)\n" + SERVER.replace("lambda *_: os._exit(0)", "signal.SIG_IGN")
    )
    service = server("api", listener, tmp_path, code=deaf, grace_seconds=0.2)
    await service.start()
    await service.stop()
    await ended(int((tmp_path / "api.log").read_text().split()[0]))
    assert service.pid is None


async def test_children_of_one_that_crashed_do_not_outlive_its_restart(listener: socket.socket, tmp_path: Path) -> None:
    code = (
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print(child.pid, flush=True)\n" + SERVER
    )
    service = server("api", listener, tmp_path, code=code)
    await service.start()
    await http_status(port_of(listener), "/crash")
    assert await service.exited() == "exited with code 7"
    await service.start()
    orphan = int((tmp_path / "api.log").read_text().split()[0])
    await ended(orphan)
    await service.stop()


async def test_a_cancelled_start_leaves_nothing_after_stop(tmp_path: Path) -> None:
    service = program("api", "print('up', flush=True); import time; time.sleep(60)", tmp_path, grace_seconds=1.0)
    starting = asyncio.create_task(service.start())
    while service.pid is None:  # noqa: ASYNC110 # a child that was just forked sends no event
        await asyncio.sleep(0)
    pid = service.pid
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    await service.stop()
    assert not alive(pid)


async def test_a_command_that_is_not_there_is_said(tmp_path: Path) -> None:
    service = program("api", "", tmp_path)
    service._command = service._command.__class__(
        name="api", arguments=(str(tmp_path / "absent"),), environment={}, ready=service._command.ready
    )
    with pytest.raises(ServiceFailed, match="cannot be started: No such file"):
        await service.start()


@pytest.mark.parametrize(
    ("code", "words"), [(0, "exited with code 0"), (-9, "was ended by SIGKILL"), (-99, "was ended by signal 99")]
)
def test_how_it_ended(code: int, words: str) -> None:
    assert describe_exit(code) == words
