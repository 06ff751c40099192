"""Restarts with growing pauses, and the order of the end."""

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployments.local.errors import ServiceFailed
from deployments.local.ports import listen, port_of
from deployments.local.probes import http_status
from deployments.local.supervisor import RestartPolicy, Supervisor
from tests.factories.stack_stubs import server

QUICK = RestartPolicy(first_seconds=0.01, longest_seconds=0.02, most=3, window_seconds=60)


class Notes:
    """A reporter that remembers, and lets a test wait for what it is told."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []
        self.pauses: list[float] = []
        self.returned = asyncio.Event()

    def starting(self, name: str) -> None:
        self.events.append(("starting", name))

    def ready(self, name: str, detail: str, seconds: float) -> None:
        self.events.append(("ready", name))

    def died(self, name: str, how: str, pause_seconds: float) -> None:
        self.events.append((how, name))
        self.pauses.append(pause_seconds)

    def back(self, name: str, seconds: float) -> None:
        self.events.append(("back", name))
        self.returned.set()

    def stopped(self, name: str, seconds: float) -> None:
        self.events.append(("stopped", name))


class Scripted:
    """A service that dies when told and whose starts fail as often as asked."""

    def __init__(self, name: str, failing_starts: int = 0) -> None:
        self.name = name
        self.detail = ""
        self.starts = 0
        self.failing_starts = failing_starts
        self.death: asyncio.Event = asyncio.Event()
        self.calls: list[str] = []

    async def start(self) -> None:
        self.starts += 1
        self.calls.append("start")
        if self.starts > 1 and self.failing_starts:
            self.failing_starts -= 1
            raise ServiceFailed(f"{self.name} exited with code 1")
        self.death.clear()

    async def exited(self) -> str:
        await self.death.wait()
        return "exited with code 9"

    async def stop(self) -> None:
        self.calls.append("stop")

    def kill(self) -> None:
        self.calls.append("kill")

    def failure(self, how: str) -> ServiceFailed:
        return ServiceFailed(f"{self.name} {how}", lines=("last words",))


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    opened = listen(0, option="--api-port")
    yield opened
    opened.close()


async def started(supervisor: Supervisor, *services: Scripted) -> None:
    for service in services:
        supervisor.add(service)
        await supervisor.start(service.name)


async def test_everything_is_stopped_in_reverse_order() -> None:
    notes = Notes()
    supervisor = Supervisor(notes)
    await started(supervisor, Scripted("database"), Scripted("api"), Scripted("worker"))
    await supervisor.stop()
    assert [name for event, name in notes.events if event == "stopped"] == ["worker", "api", "database"]


async def test_a_real_process_that_crashes_comes_back_on_the_same_port(listener: socket.socket, tmp_path: Path) -> None:
    notes = Notes()
    supervisor = Supervisor(notes, QUICK)
    supervisor.add(server("api", listener, tmp_path))
    await supervisor.start("api")
    await http_status(port_of(listener), "/crash")
    await asyncio.wait_for(notes.returned.wait(), 20)
    assert ("exited with code 7", "api") in notes.events
    assert await http_status(port_of(listener), "/") == 200
    await supervisor.stop()


async def test_pauses_grow_and_a_part_that_stays_down_is_given_up() -> None:
    notes = Notes()
    supervisor = Supervisor(notes, RestartPolicy(first_seconds=0.01, longest_seconds=0.03, most=5, window_seconds=60))
    service = Scripted("api", failing_starts=99)
    await started(supervisor, service)
    service.death.set()
    failure = await asyncio.wait_for(supervisor.given_up(), 5)
    assert notes.pauses == [0.01, 0.02, 0.03, 0.03]
    assert failure.message == "api exited with code 1, 5 times in short succession"
    assert failure.lines == ("last words",)
    await supervisor.stop()


async def test_one_that_failed_to_come_back_once_is_tried_again() -> None:
    notes = Notes()
    supervisor = Supervisor(notes, QUICK)
    service = Scripted("api", failing_starts=1)
    await started(supervisor, service)
    service.death.set()
    await asyncio.wait_for(notes.returned.wait(), 5)
    assert service.starts == 3
    await supervisor.stop()


async def test_deaths_long_ago_do_not_count() -> None:
    notes = Notes()
    supervisor = Supervisor(notes, RestartPolicy(first_seconds=0.0, longest_seconds=0.0, most=2, window_seconds=0.0))
    service = Scripted("api")
    await started(supervisor, service)
    for _ in range(4):
        notes.returned.clear()
        service.death.set()
        await asyncio.wait_for(notes.returned.wait(), 5)
    assert service.starts == 5
    await supervisor.stop()


async def test_a_restart_for_changed_sources_is_no_death() -> None:
    notes = Notes()
    supervisor = Supervisor(notes, QUICK)
    service = Scripted("api")
    await started(supervisor, service)
    await supervisor.restart("api")
    await asyncio.wait_for(notes.returned.wait(), 5)
    assert service.calls == ["start", "stop", "start"]
    assert notes.pauses == []
    await supervisor.stop()


async def test_sources_that_do_not_start_are_tried_again() -> None:
    notes = Notes()
    supervisor = Supervisor(notes, QUICK)
    service = Scripted("api", failing_starts=1)
    await started(supervisor, service)
    await supervisor.restart("api")
    await asyncio.wait_for(notes.returned.wait(), 5)
    assert ("exited with code 1", "api") in notes.events
    await supervisor.stop()


async def test_a_first_start_that_fails_is_the_callers() -> None:
    supervisor = Supervisor(Notes(), QUICK)
    service = Scripted("api", failing_starts=1)
    service.starts = 1
    supervisor.add(service)
    with pytest.raises(ServiceFailed, match="exited with code 1"):
        await supervisor.start("api")
    await supervisor.stop()


async def test_kill_reaches_every_part() -> None:
    supervisor = Supervisor(Notes(), QUICK)
    services = Scripted("database"), Scripted("api")
    await started(supervisor, *services)
    supervisor.kill()
    assert all("kill" in service.calls for service in services)
    await supervisor.stop()
