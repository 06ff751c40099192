"""The stack as a person meets it at a terminal, with a real PostgreSQL and stand-ins for the other parts."""

import asyncio
import json
import signal
import stat
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from deployments.local.environment import inherited
from deployments.local.pids import ended
from deployments.local.ports import listen, port_of
from deployments.local.probes import http_status

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
CRASHING = "import sys; print('table is missing', flush=True); sys.exit(5)"


class Terminal:
    """One running command line."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.output = ""

    async def until(self, words: str) -> str:
        """Reads on until the output has `words` in it."""
        assert self.process.stdout is not None
        async with asyncio.timeout(60):
            while words not in self.output:
                line = await self.process.stdout.readline()
                assert line, f"{words!r} never came:\n{self.output}"
                self.output += line.decode()
        return self.output

    async def end(self) -> int:
        """Reads to the end and returns the exit code."""
        assert self.process.stdout is not None
        async with asyncio.timeout(60):
            self.output += (await self.process.stdout.read()).decode()
            return await self.process.wait()


Run = Callable[..., Any]


@pytest.fixture
async def run(tmp_path: Path) -> AsyncIterator[Run]:
    """Starts `turbocat …` on a data folder in `tmp_path`; what still runs at the end is stopped."""
    terminals: list[Terminal] = []

    async def start(*arguments: str, **variables: str) -> Terminal:
        given = {"PYTHONPATH": str(ROOT), "COLUMNS": "200", **variables}
        hidden = ("DATABASE_URL", "PREFECT_API_URL", "TURBOCAT_DATA_DIR")
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, str(ROOT / "tests/factories/stub_stack.py"), *arguments),
            *("--data-dir", str(tmp_path / "data")),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={**{name: value for name, value in inherited().items() if name not in hidden}, **given},
        )
        terminals.append(Terminal(process))
        return terminals[-1]

    yield start
    for terminal in terminals:
        if terminal.process.returncode is None:
            terminal.process.terminate()
        await terminal.end()


def up(run: Run, **variables: str) -> Any:
    return run("up", "--api-port", "0", "--prefect-port", "0", **variables)


def state(tmp_path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((tmp_path / "data" / "stack.json").read_text())
    return content


def children(pid: int) -> list[int]:
    return [child.pid for child in psutil.Process(pid).children(recursive=True)]


def alive(pid: int) -> bool:
    """What has ended and waits for the machine's first process to be taken note of is not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def port(url: str) -> int:
    return int(url.rsplit(":", 1)[1])


async def test_up_says_what_it_does_and_sigterm_leaves_nothing_behind(run: Run, tmp_path: Path) -> None:
    terminal = await up(run)
    output = await terminal.until("ctrl-C stops everything")
    found = state(tmp_path)
    for words in ("PostgreSQL 18", "Schema and seed ready", "Prefect ready", "API ready", "worker ready"):
        assert words in output
    assert found["apiUrl"] in output
    assert found["prefectUrl"] in output
    assert "Pass-word-1" in output
    assert found["pid"] == terminal.process.pid
    assert await http_status(port(found["apiUrl"]), "/") == 200
    below = children(terminal.process.pid)

    terminal.process.terminate()
    assert await terminal.end() == 0
    order = [terminal.output.index(f"{name} stopped") for name in ("worker", "API", "Prefect", "PostgreSQL")]
    assert order == sorted(order)
    assert not any(map(alive, below))
    assert not (tmp_path / "data" / "stack.json").exists()
    assert not [path for path in (tmp_path / "data").rglob("*") if path.is_socket()]


@pytest.mark.case(9)
async def test_secrets_are_private_and_the_password_is_kept_nowhere(run: Run, tmp_path: Path) -> None:
    terminal = await up(run)
    await terminal.until("ctrl-C stops everything")
    keys = json.loads((tmp_path / "data" / "keys.json").read_text())
    assert stat.S_IMODE((tmp_path / "data" / "keys.json").stat().st_mode) == 0o600
    assert not any(secret in terminal.output for secret in keys.values())
    readable = [path for path in (tmp_path / "data").glob("*") if path.is_file()] + list(
        (tmp_path / "data" / "logs").glob("*")
    )
    assert readable
    assert not [path for path in readable if b"Pass-word-1" in path.read_bytes()]


async def test_a_second_up_says_so_and_down_stops_the_first(run: Run, tmp_path: Path) -> None:
    first = await up(run)
    await first.until("ctrl-C stops everything")
    second = await up(run)
    assert await second.end() == 0
    assert "already running" in second.output
    assert state(tmp_path)["apiUrl"] in second.output
    assert state(tmp_path)["pid"] == first.process.pid

    down = await run("down")
    assert await down.end() == 0
    assert await first.end() == 0
    again = await run("down")
    assert await again.end() == 0
    assert "nothing runs" in again.output


async def test_kill_9_leaves_no_process_and_the_next_up_works(run: Run, tmp_path: Path) -> None:
    terminal = await up(run)
    await terminal.until("ctrl-C stops everything")
    below = children(terminal.process.pid)
    assert len(below) >= 5
    terminal.process.kill()
    await terminal.process.wait()
    again = await up(run)
    await again.until("ctrl-C stops everything")
    for pid in below:
        await asyncio.wait_for(ended(pid), 10)
    assert state(tmp_path)["pid"] == again.process.pid


async def test_parts_that_are_killed_come_back(run: Run, tmp_path: Path) -> None:
    terminal = await up(run)
    await terminal.until("ctrl-C stops everything")
    found = state(tmp_path)
    processes = psutil.Process(terminal.process.pid).children()
    postgres = next(process for process in processes if process.name() == "postgres")
    postgres.kill()
    await terminal.until("PostgreSQL is back")
    assert "PostgreSQL ended; starting it again in 0.5 s" in terminal.output
    await http_status(port(found["apiUrl"]), "/crash")
    await terminal.until("API is back")
    assert await http_status(port(found["apiUrl"]), "/") == 200


async def test_a_part_that_does_not_start_is_shown_with_its_log(run: Run, tmp_path: Path) -> None:
    terminal = await up(run, STUB_API=CRASHING)
    assert await terminal.end() == 1
    assert "error: API exited with code 5" in terminal.output
    assert "table is missing" in terminal.output
    assert "Traceback" not in terminal.output
    assert not (tmp_path / "data" / "stack.json").exists()


async def test_a_failed_migration_is_shown_with_its_log(run: Run) -> None:
    terminal = await up(run, STUB_PREPARE="import sys; sys.exit('relation exists already')")
    assert await terminal.end() == 1
    assert "Schema and seed exited with code 1" in terminal.output
    assert "relation exists already" in terminal.output


async def test_an_interrupted_start_ends_quietly(run: Run, tmp_path: Path) -> None:
    terminal = await up(run, STUB_API="import time; time.sleep(60)")
    await terminal.until("Prefect ready")
    below = children(terminal.process.pid)
    terminal.process.send_signal(signal.SIGINT)
    assert await terminal.end() == 0
    assert "Traceback" not in terminal.output
    assert not any(map(alive, below))


async def test_a_second_signal_ends_at_once_what_does_not_listen(run: Run) -> None:
    """Nothing else would end it within the test's patience."""
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    terminal = await up(run, STUB_WORKER=deaf, STUB_GRACE_SECONDS="600")
    await terminal.until("ctrl-C stops everything")
    terminal.process.terminate()
    await terminal.until("stopping")
    terminal.process.terminate()
    assert await terminal.end() == 0


async def test_a_taken_port_is_said_before_anything_starts(run: Run, tmp_path: Path) -> None:
    taken = listen(0, option="--api-port")
    try:
        terminal = await run("up", "--api-port", str(port_of(taken)), "--prefect-port", "0")
        assert await terminal.end() == 1
    finally:
        taken.close()
    assert "is taken by another program" in terminal.output
    assert "--api-port" in terminal.output
    assert "PostgreSQL" not in terminal.output
    assert not (tmp_path / "data" / "postgres").exists()


async def test_production_generates_no_secrets(run: Run, tmp_path: Path) -> None:
    terminal = await up(run, ENVIRONMENT="production", JWT_ACCESS_SECRET="a" * 40)
    assert await terminal.end() == 1
    assert "JWT_REFRESH_SECRET, ENCRYPTION_KEY" in terminal.output
    assert not (tmp_path / "data" / "keys.json").exists()


async def test_another_prefect_server_is_used_as_it_is(run: Run, tmp_path: Path) -> None:
    terminal = await up(run, PREFECT_API_URL="http://prefect.example:4200/api")
    output = await terminal.until("ctrl-C stops everything")
    assert "Prefect ready" not in output
    assert state(tmp_path)["prefectUrl"] == "http://prefect.example:4200"
    assert "password: PREFECT_API_AUTH_STRING" not in output


async def test_debug_shows_the_traceback(run: Run) -> None:
    terminal = await run("up", "--debug", "--api-port", "0", "--prefect-port", "0", STUB_API=CRASHING)
    assert await terminal.end() == 1
    assert "Traceback" in terminal.output
    assert "process.py" in terminal.output


async def test_reload_restarts_api_and_worker_on_a_change(run: Run, tmp_path: Path) -> None:
    sources = tmp_path / "sources"
    sources.mkdir()
    terminal = await run("up", "--reload", "--api-port", "0", "--prefect-port", "0", STUB_SOURCES=str(sources))
    await terminal.until("ctrl-C stops everything")
    (sources / "notes.txt").write_text("no source")
    (sources / "router.py").write_text("changed = True")
    await terminal.until("worker is back")
    assert "router.py changed" in terminal.output
    assert "API is back" in terminal.output
    assert "notes.txt" not in terminal.output
    assert "starting it again" not in terminal.output
