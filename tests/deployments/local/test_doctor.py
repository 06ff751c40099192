"""Checks of this machine, each in a state where it passes and in one where it does not."""

import asyncio
import json
import shutil
import sys
from collections import namedtuple
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from agents.code.selection import SandboxChoice, Selection
from deployments.commands import doctor as command
from deployments.local import doctor
from deployments.local.doctor import Finding
from deployments.local.files import DataFolder
from deployments.local.keys import GENERATORS
from deployments.local.lock import FolderLock
from deployments.local.ports import listen, port_of
from deployments.local.postgres import EmbeddedPostgres, PostgresFailed


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    return DataFolder(tmp_path / "data")


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*GENERATORS, "DATABASE_URL", "PREFECT_API_URL", "ENVIRONMENT", "PORT", "CODE_SANDBOX"):
        monkeypatch.delenv(name, raising=False)


async def test_an_old_interpreter(folder: DataFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not (await doctor.check_python(folder)).failed
    monkeypatch.setattr(sys, "version_info", (3, 10, 4))
    found = await doctor.check_python(folder)
    assert found.failed
    assert "3.11" in found.advice


async def test_too_little_memory(folder: DataFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = namedtuple("memory", "available")
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory(200 * 1024**2))
    found = await doctor.check_memory(folder)
    assert found.failed
    assert "0.2 GiB" in found.detail


async def test_the_data_folder(folder: DataFolder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert not (await doctor.check_folder(folder)).failed
    assert not folder.root.exists()
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(1024))
    assert (await doctor.check_folder(folder)).failed
    (tmp_path / "file").write_text("")
    found = await doctor.check_folder(DataFolder(tmp_path / "file"))
    assert "--data-dir" in found.advice


async def test_postgres_starts_or_says_why(folder: DataFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not (await doctor.check_postgres(folder)).failed

    async def fails(self: EmbeddedPostgres) -> None:
        raise PostgresFailed("no space left")

    monkeypatch.setattr(EmbeddedPostgres, "start", fails)
    found = await doctor.check_postgres(folder)
    assert found.detail == "no space left"
    assert "DATABASE_URL" in found.advice


async def test_a_taken_port_unless_it_is_ours(folder: DataFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = listen(0, option="--api-port")
    try:
        monkeypatch.setattr(doctor, "PORTS", ((port_of(taken), "--api-port"), (0, "--prefect-port")))
        found = await doctor.check_ports(folder)
        assert found.failed
        assert "--api-port" in found.advice
        folder.create()
        lock = FolderLock(folder.lock)
        assert lock.acquire()
        assert not (await doctor.check_ports(folder)).failed
        lock.release()
    finally:
        taken.close()
    monkeypatch.setattr(doctor, "PORTS", ((0, "--api-port"),))
    assert not (await doctor.check_ports(folder)).failed


async def test_settings_that_the_stack_supplies_are_not_missing(
    folder: DataFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not (await doctor.check_settings(folder)).failed
    monkeypatch.setenv("ENCRYPTION_KEY", "short")
    found = await doctor.check_settings(folder)
    assert found.failed
    assert "ENCRYPTION_KEY: " in found.detail
    assert "DATABASE_URL" not in found.detail


async def test_complete_settings(folder: DataFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://db.example/turbocat")
    for name, make in GENERATORS.items():
        monkeypatch.setenv(name, make())
    assert "complete" in (await doctor.check_settings(folder)).detail


async def test_the_sandbox_is_named(folder: DataFolder) -> None:
    found = await doctor.check_sandbox(folder)
    assert not found.failed
    assert "runs node and python" in found.detail


async def test_a_machine_without_a_sandbox_is_told_why(folder: DataFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "selection", lambda *_: Selection(SandboxChoice.AUTO, []))
    found = await doctor.check_sandbox(folder)
    assert found.failed
    assert "CODE agents are refused" in found.detail


@pytest.mark.parametrize("others", [{}, {"ENCRYPTION_KEY": "short"}])
async def test_no_sandbox_by_choice_is_a_warning(
    folder: DataFolder, monkeypatch: pytest.MonkeyPatch, others: dict[str, str]
) -> None:
    """Whatever is missing or wrong beside it, as it is before the first `turbocat up`."""
    for name, value in {"CODE_SANDBOX": "unsafe-local", **others}.items():
        monkeypatch.setenv(name, value)
    found = await doctor.check_sandbox(folder)
    assert found.warning
    assert not found.failed
    assert found.detail.startswith("unsafe-local")


async def test_a_sandbox_that_there_is_not_is_not_taken_for_another(
    folder: DataFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CODE_SANDBOX", "dokcer")
    found = await doctor.check_sandbox(folder)
    assert found.failed
    assert "CODE_SANDBOX" in found.detail


@asynccontextmanager
async def api(status: int, sandboxes: dict[str, int] | None = None) -> AsyncIterator[int]:
    body = json.dumps({"checks": {"workers": {"codeSandboxes": sandboxes}}})

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 {status} X\r\nServer: x\r\n\r\n{body}".encode())
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize(("status", "failed"), [(200, False), (503, True)])
async def test_the_health_of_a_running_stack(folder: DataFolder, status: int, failed: bool) -> None:
    assert "none in" in (await doctor.check_running_stack(folder)).detail
    folder.create()
    lock = FolderLock(folder.lock)
    assert lock.acquire()
    async with api(status) as port:
        folder.state.write_text(json.dumps({"apiUrl": f"http://127.0.0.1:{port}"}))
        assert (await doctor.check_running_stack(folder)).failed is failed
    assert "no answer" in (await doctor.check_running_stack(folder)).detail
    lock.release()


@pytest.mark.parametrize(
    ("sandboxes", "warning"), [({"namespace": 2}, False), ({"docker": 1, "none": 1}, True), ({"unsafe-local": 1}, True)]
)
async def test_the_sandboxes_of_a_running_stack(folder: DataFolder, sandboxes: dict[str, int], warning: bool) -> None:
    folder.create()
    lock = FolderLock(folder.lock)
    assert lock.acquire()
    async with api(200, sandboxes) as port:
        folder.state.write_text(json.dumps({"apiUrl": f"http://127.0.0.1:{port}"}))
        found = await doctor.check_running_stack(folder)
    lock.release()
    assert all(f"{name} ({count})" in found.detail for name, count in sandboxes.items())
    assert (found.warning, found.failed) == (warning, False)


async def test_every_check_runs_though_one_fails(folder: DataFolder) -> None:
    async def bad(folder: DataFolder) -> Finding:
        return Finding(name="A", detail="broken", advice="mend it")

    async def good(folder: DataFolder) -> Finding:
        return Finding(name="B", detail="whole")

    findings = await doctor.examine(folder, (bad, good))
    console = Console(record=True, width=100)
    command.show(findings, console)
    text = console.export_text()
    assert "✗ A" in text
    assert "→ mend it" in text
    assert "✓ B" in text
