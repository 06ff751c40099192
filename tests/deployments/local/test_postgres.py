"""The embedded server: started, found again, recovered, and gone without a trace."""

import asyncio
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from deployments.local import postgres, postgres_host
from deployments.local.postgres import EmbeddedPostgres, PostgresFailed

Made = Callable[..., EmbeddedPostgres]

ABANDON = """
import asyncio, os, sys
from pathlib import Path
from deployments.local.postgres import EmbeddedPostgres

server = EmbeddedPostgres(Path(sys.argv[1]), durable=False)
asyncio.run(server.start())
print(server.pid, flush=True)
os._exit(0)
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """Not below pytest's own folder: every other run of root makes that impassable for the server's user."""
    made = Path(tempfile.mkdtemp(prefix="turbocat-postgres-"))
    yield made
    postgres_host.stop_servers(made / "pg" / "cluster")
    shutil.rmtree(made)


@pytest.fixture
async def make(folder: Path) -> AsyncIterator[Made]:
    """Makes servers, in the folder `pg` by default, that are stopped after the test."""
    servers: list[EmbeddedPostgres] = []

    def made(place: Path = folder / "pg", **options: Any) -> EmbeddedPostgres:
        servers.append(EmbeddedPostgres(place, **{"durable": False, **options}))
        return servers[-1]

    yield made
    for server in servers:
        await server.stop()


async def ask(server: EmbeddedPostgres, query: str, database: str = "postgres") -> Any:
    async with await psycopg.AsyncConnection.connect(server.url(database), autocommit=True) as connection:
        answer = await connection.execute(query)
        row = await answer.fetchone() if answer.description else None
    return row and row[0]


def processes_in(place: Path) -> list[int]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and process.cwd() == str(place):
                found.append(process.pid)
        except (psutil.Error, OSError):
            continue
    return found


async def test_it_is_our_child_and_listens_on_its_socket_alone(make: Made) -> None:
    server = make()
    await server.start()
    child = psutil.Process(server.pid)
    assert child.ppid() == os.getpid()
    assert child.uids().real != 0
    assert await ask(server, "show listen_addresses") == ""
    assert await ask(server, "select count(*) from pg_available_extensions where name = 'pg_trgm'") == 1
    assert (server.socket_dir / ".s.PGSQL.5432").is_socket()
    assert stat.S_IMODE((server.socket_dir / ".s.PGSQL.5432").stat().st_mode) == 0o700
    assert stat.S_IMODE(server.socket_dir.stat().st_mode) == 0o700
    assert stat.S_IMODE(server.log.stat().st_mode) == 0o600


async def test_it_stops_without_a_trace_but_the_data(make: Made) -> None:
    server = make()
    await server.start()
    await server.stop()
    assert server.pid is None
    assert processes_in(server.cluster) == []
    assert sorted(path.name for path in server.data_dir.iterdir()) == ["cluster", "postgres.log"]
    assert not (server.cluster / "postmaster.pid").exists()


async def test_a_connection_that_is_open_does_not_hold_up_the_stop(make: Made) -> None:
    server = make()
    await server.start()
    connection = await psycopg.AsyncConnection.connect(server.url("postgres"))
    await connection.execute("create table unfinished ()")
    await asyncio.wait_for(server.stop(), 5)
    with pytest.raises(psycopg.OperationalError):
        await connection.execute("select 1")
    await connection.close()


async def test_data_is_there_after_a_restart(make: Made) -> None:
    server = make()
    await server.start()
    await ask(server, "create table kept as select 7 as value")
    await server.stop()
    await server.start()
    assert await ask(server, "select value from kept") == 7


async def test_a_second_start_of_a_running_server_changes_nothing(make: Made) -> None:
    server = make()
    await server.start()
    pid = server.pid
    await server.start()
    assert server.pid == pid


@pytest.mark.parametrize("durable", [True, False])
async def test_only_tests_give_up_durability(make: Made, durable: bool) -> None:
    server = make(durable=durable)
    await server.start()
    expected = "on" if durable else "off"
    for setting in ("fsync", "full_page_writes", "synchronous_commit"):
        assert await ask(server, f"show {setting}") == expected
    assert await ask(server, "show timezone") == "UTC"
    assert await ask(server, "show max_connections") == "200"
    assert await ask(server, "select lower('ÄÉЖ')") == "äéж"


async def test_a_database_is_made_once_also_by_many_at_once(make: Made) -> None:
    server = make()
    await server.start()
    await asyncio.gather(*(server.ensure_database('odd "name"') for _ in range(5)))
    assert await ask(server, "select current_database()", 'odd "name"') == 'odd "name"'


async def test_a_long_path_gets_a_short_socket_folder(make: Made, folder: Path) -> None:
    server = make(folder / ("deep" * 25) / "pg")
    assert len(os.fsencode(server.socket_dir / ".s.PGSQL.5432")) <= 100
    await server.start()
    assert await ask(server, "select 1") == 1
    assert stat.S_IMODE(server.socket_dir.stat().st_mode) == 0o700
    await server.stop()
    assert not server.socket_dir.exists()


async def test_a_socket_folder_of_somebody_else_is_refused(make: Made, folder: Path) -> None:
    server = make(folder / ("deep" * 25) / "pg")
    server.socket_dir.symlink_to(folder)
    try:
        with pytest.raises(PostgresFailed, match="belongs to somebody else"):
            await server.start()
    finally:
        server.socket_dir.unlink()
    assert server.pid is None


async def test_a_server_whose_supervisor_was_killed_is_replaced(make: Made, folder: Path) -> None:
    command = [sys.executable, "-c", ABANDON, str(folder / "pg")]
    abandoned = int(await asyncio.to_thread(subprocess.check_output, command, text=True))
    assert psutil.Process(abandoned).name() == "postgres"
    server = make()
    await server.start()
    assert not psutil.pid_exists(abandoned) or psutil.Process(abandoned).status() == psutil.STATUS_ZOMBIE
    assert await ask(server, "select 1") == 1


async def test_a_killed_server_is_noticed_and_recovers(make: Made) -> None:
    server = make(durable=True)
    await server.start()
    await ask(server, "create table kept as select 7 as value")
    assert server.process is not None
    os.kill(server.process.pid, signal.SIGKILL)
    assert await asyncio.wait_for(server.exited(), 5) == -signal.SIGKILL
    assert server.pid is None
    await server.start()
    assert await ask(server, "select value from kept") == 7


async def test_a_pid_file_that_names_an_innocent_process_is_stale(make: Made) -> None:
    server = make()
    await server.start()
    await server.stop()
    (server.cluster / "postmaster.pid").write_text(f"{os.getppid()}\n{server.cluster}\n0\n5432\n\n\n\nready\n")
    await server.start()
    assert await ask(server, "select 1") == 1
    assert psutil.pid_exists(os.getppid())


async def test_a_cluster_half_made_is_made_anew(make: Made, folder: Path) -> None:
    partial = folder / "pg" / "cluster.partial"
    partial.mkdir(parents=True)
    (partial / "PG_VERSION").write_text("18")
    server = make()
    await server.start()
    assert await ask(server, "select 1") == 1
    assert not partial.exists()


async def test_a_server_that_does_not_answer_the_stop_is_killed(make: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "STOP_SECONDS", 0.2)
    server = make()
    await server.start()
    assert server.process is not None
    os.kill(server.process.pid, signal.SIGSTOP)
    await asyncio.wait_for(server.stop(), 5)
    assert processes_in(server.cluster) == []


async def test_data_of_another_version_is_said_in_one_line(make: Made) -> None:
    server = make()
    await server.start()
    await server.stop()
    (server.cluster / "PG_VERSION").write_text("11\n")
    with pytest.raises(PostgresFailed, match="database files are incompatible with server; its log is") as failure:
        await server.start()
    assert "\n" not in str(failure.value)
    assert processes_in(server.cluster) == []


async def test_the_reason_is_of_this_start_and_not_of_an_earlier_one(make: Made) -> None:
    server = make()
    await server.start()
    await server.stop()
    with server.log.open("a") as log:
        log.write("FATAL:  an old story\n")
    (server.cluster / "postgresql.conf").write_text("no_such_setting = 1\n")
    with pytest.raises(PostgresFailed) as failure:
        await server.start()
    assert "old story" not in str(failure.value)


async def test_a_place_that_is_a_file_is_refused_with_a_hint(make: Made, folder: Path) -> None:
    (folder / "file").write_text("")
    with pytest.raises(PostgresFailed, match=r"cannot use the folder .*choose one that you may write"):
        await make(folder / "file" / "pg").start()


async def test_a_failing_initdb_is_told_with_its_own_words(make: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "INITDB", ("--username=pg_not_allowed",))
    server = make()
    with pytest.raises(PostgresFailed, match=r"initdb could not make .*pg_not_allowed"):
        await server.start()
    assert not server.cluster.exists()


async def test_a_start_that_takes_too_long_leaves_nothing(make: Made) -> None:
    server = make(start_seconds=0.0)
    with pytest.raises(PostgresFailed, match="was not ready after 0 s"):
        await server.start()
    assert processes_in(server.cluster) == []


async def test_a_cancelled_start_leaves_nothing(make: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    server = make()
    spawned = asyncio.Event()
    monkeypatch.setattr(server, "_is_ready", lambda _pid: spawned.set())
    start = asyncio.create_task(server.start())
    await asyncio.wait_for(spawned.wait(), 20)
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start
    assert processes_in(server.cluster) == []


async def test_values_of_failed_statements_stay_out_of_the_log(make: Made) -> None:
    server = make()
    await server.start()
    await ask(server, "create table guarded (value text unique)")
    await ask(server, "insert into guarded values ('planted-secret')")
    for statement in ("insert into guarded values ('planted-secret')", "select 'planted-secret'::int"):
        with pytest.raises(psycopg.Error):
            await ask(server, statement)
    log = server.log.read_text()
    assert "duplicate key" in log
    assert "(planted-secret)" not in log
    assert "insert into guarded" not in log


async def test_two_servers_at_once_do_not_meet(make: Made, folder: Path) -> None:
    first, second = make(folder / "a"), make(folder / "b")
    await asyncio.gather(first.start(), second.start())
    await ask(first, "create table here ()")
    assert await ask(second, "select to_regclass('here')") is None


async def test_waiting_for_a_server_that_was_never_started_is_an_error(make: Made) -> None:
    with pytest.raises(PostgresFailed, match="was not started"):
        await make().exited()


async def test_as_root_the_user_must_be_there_or_makeable(make: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_host.os, "geteuid", lambda: 0)
    monkeypatch.setattr(postgres_host, "SYSTEM_USER", "no/such\nuser")
    with pytest.raises(PostgresFailed, match="run as an ordinary user"):
        await make().start()


def test_an_installation_under_a_strict_umask_is_made_readable(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = folder / "private" / "pginstall"
    (home / "bin").mkdir(parents=True)
    (home / "bin" / "postgres").touch(mode=0o700)
    (home / "share.sql").touch(mode=0o600)
    for place in (home, home / "bin", home.parent):
        place.chmod(0o700)
    monkeypatch.setattr(postgres_host, "installation", lambda: home)
    user = postgres_host.pwd.getpwuid(os.geteuid())
    postgres_host.open_to(user, folder)
    modes = [stat.S_IMODE(place.stat().st_mode) for place in (home, home / "bin" / "postgres", home / "share.sql")]
    assert modes == [0o755, 0o755, 0o644]
    assert stat.S_IMODE(home.parent.stat().st_mode) == 0o701


def test_a_missing_package_is_said_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_host.importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(PostgresFailed, match="install it, or set DATABASE_URL"):
        postgres_host.installation()
