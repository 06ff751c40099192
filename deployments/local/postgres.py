"""The embedded PostgreSQL: a cluster in a folder, its server our own child, reached over a socket in that folder.

In the folder lie `cluster` (the data), `socket` and `postgres.log`. The server logs no statements and no values.
"""

import asyncio
import os
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from deployments.local.postgres_host import (
    POLL_SECONDS,
    SOCKET_NAME,
    STOP_SECONDS,
    PostgresFailed,
    account,
    installation,
    make_private,
    open_to,
    socket_folder,
    stop_servers,
)
from platform_api.db.cluster import ensure_database

__all__ = ["EmbeddedPostgres", "PostgresFailed"]

LOG_BYTES = 10 * 1024 * 1024
INITDB = ("--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-instructions")
COLLATION = ("--locale-provider=builtin", "--builtin-locale=C.UTF-8")
"""Upper and lower case of all of Unicode, the same on every machine."""
SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
}
NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class EmbeddedPostgres:
    """A PostgreSQL server on `data_dir`, made when it is not there.

    `durable=False` is for tests: faster, and lost in a power cut. `start` may be called again after a `stop` or after
    the server has died. Raises `PostgresFailed`.
    """

    def __init__(self, data_dir: Path, *, durable: bool = True, start_seconds: float = 60.0) -> None:
        self.data_dir = data_dir.resolve()
        self.cluster = self.data_dir / "cluster"
        self.log = self.data_dir / "postgres.log"
        self.socket_dir = socket_folder(self.data_dir)
        self._durable = durable
        self._start_seconds = start_seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._identity: dict[str, Any] = {}
        self._log_began = 0

    @property
    def pid(self) -> int | None:
        """The server's pid while it runs."""
        if self._process is None or self._process.poll() is not None:
            return None
        return self._process.pid

    @property
    def process(self) -> subprocess.Popen[bytes] | None:
        """The server, our direct child, in a session of its own (a ctrl-C does not reach it)."""
        return self._process

    def url(self, database: str) -> str:
        """The URL of a database for the owner, over the socket."""
        return f"postgresql://postgres@/{quote(database, safe='')}?host={quote(str(self.socket_dir), safe='')}"

    async def ensure_database(self, name: str) -> None:
        """Makes the database unless it is there."""
        await ensure_database(self.url("postgres"), name)

    async def start(self) -> None:
        """Returns when the server takes connections. A server that a killed process left behind is ended first."""
        if self.pid is not None:
            return
        await asyncio.to_thread(self._prepare)
        if not (self.cluster / "PG_VERSION").exists():
            await self._initialise()
        self._spawn()
        try:
            await self._until_ready()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """A fast shutdown: open transactions are rolled back. What has not ended after 10 s is killed."""
        process = self._process
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            await _ended(process, STOP_SECONDS)
        if process.poll() is None:
            process.kill()
        await asyncio.to_thread(process.wait)
        await asyncio.to_thread(stop_servers, self.cluster)
        shutil.rmtree(self.socket_dir, ignore_errors=True)
        self._process = None

    async def exited(self) -> int:
        """Returns the server's return code when it has ended."""
        if self._process is None:
            raise PostgresFailed("PostgreSQL was not started: call start first")
        await _ended(self._process, None)
        return self._process.wait()

    def _prepare(self) -> None:
        """The folders, the user, and nobody else on the cluster."""
        try:
            user = account()
            self._identity = {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
            self.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
            open_to(user, self.data_dir)
            make_private(self.socket_dir, user)
            if self.cluster.exists():
                stop_servers(self.cluster)
            (self.socket_dir / SOCKET_NAME).unlink(missing_ok=True)
            (self.socket_dir / f"{SOCKET_NAME}.lock").unlink(missing_ok=True)
        except OSError as error:
            raise PostgresFailed(
                f"PostgreSQL cannot use the folder {self.data_dir} ({error.strerror}): choose one that you may write"
            ) from error

    async def _initialise(self) -> None:
        """Makes the cluster under another name first, so that one half made is never taken for a whole one."""
        partial = self.data_dir / "cluster.partial"
        await asyncio.to_thread(shutil.rmtree, partial, ignore_errors=True)
        extra = () if self._durable else ("--no-sync",)
        process = await asyncio.create_subprocess_exec(
            str(installation() / "bin" / "initdb"),
            f"--pgdata={partial}",
            *INITDB,
            *COLLATION,
            *extra,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env=_environment(),
            cwd="/",
            **self._identity,
        )
        try:
            _, output = await process.communicate()
        except BaseException:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            raise
        if process.returncode != 0:
            raise PostgresFailed(
                f"initdb could not make {self.cluster}: {_last_line(output.decode(errors='replace'))}; "
                "make room or choose another data folder"
            )
        partial.rename(self.cluster)

    def _spawn(self) -> None:
        settings = {**SETTINGS, "unix_socket_directories": str(self.socket_dir)}
        if not self._durable:
            settings |= NOT_DURABLE
        arguments = [f"--{name}={value}" for name, value in settings.items()]
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))
        with os.fdopen(os.open(self.log, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600), "ab") as log:
            self._log_began = log.tell()
            self._process = subprocess.Popen(  # noqa: S603  # our own arguments
                [str(installation() / "bin" / "postgres"), "-D", str(self.cluster), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=_environment(),
                cwd="/",
                start_new_session=True,
                **self._identity,
            )

    async def _until_ready(self) -> None:
        """The server writes `ready` into the last line of its pid file."""
        assert self._process is not None
        deadline = time.monotonic() + self._start_seconds
        while not self._is_ready(self._process.pid):
            if self._process.poll() is not None:
                raise PostgresFailed(f"PostgreSQL did not start: {self._reason()}; its log is {self.log}")
            if time.monotonic() > deadline:
                raise PostgresFailed(
                    f"PostgreSQL was not ready after {self._start_seconds:.0f} s: see {self.log}, then try again"
                )
            await asyncio.sleep(POLL_SECONDS)

    def _is_ready(self, pid: int) -> bool:
        try:
            lines = (self.cluster / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) >= 8 and lines[0].strip() == str(pid) and lines[7].strip() == "ready"

    def _reason(self) -> str:
        """What the server said last since it was started, its fatal line if there is one."""
        with self.log.open("rb") as log:
            log.seek(self._log_began)
            lines = log.read().decode(errors="replace").splitlines()
        fatal = [line for line in lines if "FATAL:" in line or "PANIC:" in line]
        return _last_line("\n".join(fatal or lines))


async def _ended(process: subprocess.Popen[bytes], seconds: float | None) -> None:
    """Waits for the end of a child without holding a thread."""
    deadline = None if seconds is None else time.monotonic() + seconds
    while process.poll() is None and (deadline is None or time.monotonic() < deadline):  # noqa: ASYNC110  # a child's end is no event of the loop
        await asyncio.sleep(POLL_SECONDS)


def _environment() -> dict[str, str]:
    """Nothing is inherited: `PGDATA`, `PGPORT` and the like would change what the server does."""
    return {"LC_ALL": "C", "PATH": os.defpath, "TZ": "UTC"}


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"
