"""Containers for programs, by the engine's API. Everything here blocks: see `calls`."""

import io
import json
import os
import socket
import tarfile
import tempfile
import time
from collections.abc import Mapping
from contextlib import closing, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import docker
import psutil
from docker.errors import APIError, DockerException, ImageNotFound, NotFound
from docker.models.containers import Container
from docker.types import LogConfig, Ulimit

from agents.code import machine
from agents.code.backend import DATA_FOLDER, Limits, Program, SandboxUnavailable
from agents.code.docker.calls import THREADS
from agents.code.docker.place import EnginePlace
from agents.code.docker.podman import is_podman, options_for_podman
from agents.code.docker.profile import seccomp_profile

FOLDER = "/turbocat"
"""In the container: a volume that belongs to root, for the job, the harness and the datasets."""
WORK = "/tmp"  # noqa: S108 - in the container
OWNER_LABEL = "turbocat.code.owner"
NOBODY = "65534:65534"
FIRST_PROCESS_BYTES = 24 << 20
"""What the first process of a container takes beside the program."""
FIRST_PROCESS_FILES = 256
ONE_CORE = 1_000_000_000
SHARED_MEMORY_BYTES = 1 << 20
FIRST_ANSWER_SECONDS = 10
ANSWER_SECONDS = 30
"""How long the engine may take for one answer, and between two pieces of one."""
REMOVAL_PAUSES = (0.1, 0.3, 1.0, 3.0, None)
EXPLANATION_CHARACTERS = 500
SPOOLED_BYTES = 8 << 20
IMAGE_SOURCE = "deployments/docker/code"
HARNESS_FILES = ("container.py", "program.py", "program.js")


@dataclass(frozen=True, kw_only=True)
class Connection:
    """To an engine that has answered, and has the image."""

    client: docker.DockerClient
    is_podman: bool


class Engine:
    """An engine, and the image that programs run in there."""

    def __init__(self, place: EnginePlace) -> None:
        self._image, self._url = place.image, place.url

    def connect(self) -> Connection:
        """Raises `SandboxUnavailable` where nobody answers or the image is missing."""
        try:
            client = docker.DockerClient(base_url=self._url, timeout=FIRST_ANSWER_SECONDS, max_pool_size=THREADS)
        except DockerException:
            raise SandboxUnavailable(f"no engine answers at {self._url}") from None
        try:
            version = client.version()
            client.images.get(self._image)
        except ImageNotFound:
            client.close()
            raise SandboxUnavailable(
                f"the engine has no image {self._image!r}; build it: docker build -t {self._image} {IMAGE_SOURCE}"
            ) from None
        except Exception as error:
            client.close()
            raise SandboxUnavailable(f"no engine answers at {self._url} ({type(error).__name__})") from None
        client.api.timeout = ANSWER_SECONDS
        return Connection(client=client, is_podman=is_podman(version))

    def start(self, engine: Connection, program: Program, limits: Limits) -> tuple[Container, socket.socket]:
        """The container, running, and its attached streams. Raises `SandboxUnavailable`; nothing is left then."""
        container: Container | None = None
        options = _options(program, limits)
        try:
            with options_for_podman(options) if engine.is_podman else nullcontext(options) as fitting:
                container = engine.client.containers.create(self._image, **fitting)
            with _archive(program) as archive:
                container.put_archive(FOLDER, archive)
            streams = _attached(container)
            container.start()
        except Exception as error:
            if container is not None:
                remove(container)
            if isinstance(error, SandboxUnavailable):
                raise
            raise SandboxUnavailable(f"the engine could not start a container: {_explained(error)}") from None
        return container, streams


def remove(container: Container) -> None:
    """Kills what runs in it; nothing of it stays. Raises `SandboxUnavailable` where the engine does not do it.

    Podman refuses to remove what ends at this very moment.
    """
    for pause in REMOVAL_PAUSES:
        try:
            container.remove(force=True, v=True)
        except NotFound:
            return
        except (APIError, OSError) as error:
            if pause is None or not isinstance(error, APIError):
                raise SandboxUnavailable(f"the engine did not remove a container: {_explained(error)}") from None
            time.sleep(pause)
        else:
            return


def check(client: docker.DockerClient) -> None:
    """Raises `SandboxUnavailable` where the engine does not answer any more."""
    try:
        client.ping()
    except (APIError, OSError) as error:
        raise SandboxUnavailable(f"the engine answers no more ({type(error).__name__})") from None


def died_of_memory(container: Container) -> bool:
    """Whether the engine saw the memory's end, where the first process was what went."""
    try:
        container.reload()
    except (APIError, OSError):
        return False
    return bool(container.attrs["State"].get("OOMKilled"))


def sweep(client: docker.DockerClient) -> None:
    """Removes the containers of workers of this machine that were killed. They have ended already: see the harness."""
    try:
        containers = client.containers.list(all=True, filters={"label": OWNER_LABEL}, sparse=True)
    except (APIError, OSError) as error:
        raise SandboxUnavailable(f"the engine does not list its containers: {_explained(error)}") from None
    for container in containers:
        host, _, pid = container.attrs["Labels"][OWNER_LABEL].rpartition(":")
        if host == socket.gethostname() and not psutil.pid_exists(int(pid)):
            with suppress(SandboxUnavailable):  # another worker that starts may be at it
                remove(container)


def _explained(error: Exception) -> str:
    """What the engine says, where it does; some say a page."""
    text = str(error.explanation) if isinstance(error, APIError) else type(error).__name__
    return text if len(text) <= EXPLANATION_CHARACTERS else f"{text[:EXPLANATION_CHARACTERS]}…"


def _attached(container: Container) -> socket.socket:
    """The SDK's own socket: of a copy of it the original would stay open."""
    stream = container.attach_socket(params={"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1})
    with closing(stream):
        if not isinstance(stream, socket.SocketIO):
            raise SandboxUnavailable("engines behind TLS or SSH are not supported: name a socket of this machine")
        return cast(socket.socket, stream._sock)  # type: ignore[attr-defined] # there is no other way to it


def _options(program: Program, limits: Limits) -> Mapping[str, Any]:
    memory = limits.memory_bytes + FIRST_PROCESS_BYTES
    return {
        "command": ["python3", "-I", "-S", "-B", f"{FOLDER}/container.py", _wanted(program, limits)],
        "entrypoint": [],
        "user": NOBODY,
        "working_dir": WORK,
        "labels": {OWNER_LABEL: f"{socket.gethostname()}:{os.getpid()}"},
        "stdin_open": True,
        "volumes": [FOLDER],
        "read_only": True,
        "tmpfs": {WORK: f"size={limits.disk_bytes},nr_inodes={limits.inodes},mode=1777"},
        "shm_size": SHARED_MEMORY_BYTES,
        "ipc_mode": "private",
        "network_mode": "none",
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges", f"seccomp={seccomp_profile()}"],
        "mem_limit": memory,
        "memswap_limit": memory,
        "nano_cpus": ONE_CORE,
        "pids_limit": limits.processes + 1,
        "ulimits": [Ulimit(name=name, soft=most, hard=most) for name, most in _limits(limits).items()],
        "log_config": LogConfig(type="none"),
    }


def _limits(limits: Limits) -> Mapping[str, int]:
    """Of the first process; it bounds the program more tightly."""
    return {"core": 0, "msgqueue": 0, "nofile": limits.open_files + FIRST_PROCESS_FILES}


def _wanted(program: Program, limits: Limits) -> str:
    return json.dumps(
        {
            "language": program.language.value,
            "cpu": limits.cpu_seconds,
            "disk": limits.disk_bytes,
            "memory": limits.memory_bytes,
            "open_files": limits.open_files,
        }
    )


def _archive(program: Program) -> IO[bytes]:
    """Everything for the container's volume, as root's and readable. Large datasets pass through a temporary file."""
    spool = tempfile.SpooledTemporaryFile(max_size=SPOOLED_BYTES)  # noqa: SIM115 - the caller closes it
    with tarfile.open(fileobj=spool, mode="w") as archive:
        for name in HARNESS_FILES:
            _add(archive, name, Path(machine.HARNESS) / name)
        job = tarfile.TarInfo("job.json")
        job.mode, text = 0o444, program.job()
        job.size = len(text)
        archive.addfile(job, io.BytesIO(text))
        folder = tarfile.TarInfo(DATA_FOLDER)
        folder.type, folder.mode = tarfile.DIRTYPE, 0o555
        archive.addfile(folder)
        for name, path in program.datasets.items():
            _add(archive, f"{DATA_FOLDER}/{name}", path)
    spool.seek(0)
    return spool


def _add(archive: tarfile.TarFile, name: str, path: Path) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = path.stat().st_size, 0o444
    with path.open("rb") as file:
        archive.addfile(entry, file)
