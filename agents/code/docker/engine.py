"""Containers for programs, by the engine's API. Everything here blocks: callers use a thread."""

import io
import json
import os
import socket
import tarfile
import tempfile
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import IO, Any, cast

import docker
import psutil
from docker.errors import APIError, DockerException, ImageNotFound, NotFound
from docker.models.containers import Container
from docker.types import LogConfig, Ulimit

from agents.code import machine
from agents.code.backend import DATA_FOLDER, Limits, Program, SandboxUnavailable
from agents.code.docker.place import EnginePlace
from agents.code.docker.profile import seccomp_profile

FOLDER = "/turbocat"
"""In the container: a volume that belongs to root, for the job, the harness and the datasets."""
WORK = "/tmp"  # noqa: S108 - in the container
OWNER_LABEL = "turbocat.code.owner"
NOBODY = "65534:65534"
FIRST_PROCESS_BYTES = 24 << 20
"""What the first process of a container takes beside the program."""
ONE_CORE = 1_000_000_000
SHARED_MEMORY_BYTES = 1 << 20
TIMEOUT_SECONDS = 60
SPOOLED_BYTES = 8 << 20
IMAGE_SOURCE = "deployments/docker/code"
HARNESS_FILES = ("container.py", "program.py", "program.js")


class Engine:
    """An engine, and the image that programs run in there."""

    def __init__(self, place: EnginePlace) -> None:
        self._image, self._url = place.image, place.url

    def connect(self) -> docker.DockerClient:
        """Raises `SandboxUnavailable` where nobody answers or the image is missing."""
        try:
            client = docker.DockerClient(base_url=self._url, timeout=TIMEOUT_SECONDS)
        except DockerException:
            raise SandboxUnavailable(f"no engine answers at {self._url}") from None
        try:
            client.ping()
            client.images.get(self._image)
        except ImageNotFound:
            client.close()
            raise SandboxUnavailable(
                f"the engine has no image {self._image!r}; build it: docker build -t {self._image} {IMAGE_SOURCE}"
            ) from None
        except Exception as error:
            client.close()
            raise SandboxUnavailable(f"no engine answers at {self._url} ({type(error).__name__})") from None
        return client

    def start(self, client: docker.DockerClient, program: Program, limits: Limits) -> tuple[Container, socket.socket]:
        """The container, running, and its attached streams. Raises `SandboxUnavailable`; nothing is left then."""
        container: Container | None = None
        try:
            container = client.containers.create(self._image, **_options(program, limits))
            with _archive(program) as archive:
                container.put_archive(FOLDER, archive)
            streams = _attached(container)
            container.start()
        except Exception as error:
            if container is not None:
                remove(container)
            if isinstance(error, SandboxUnavailable):
                raise
            explained = error.explanation if isinstance(error, APIError) else type(error).__name__
            raise SandboxUnavailable(f"the engine could not start a container: {explained}") from None
        return container, streams


def remove(container: Container) -> None:
    """Kills what runs in it; nothing of it stays. Raises `SandboxUnavailable` where the engine does not do it."""
    try:
        container.remove(force=True, v=True)
    except NotFound:
        return
    except (APIError, OSError) as error:
        raise SandboxUnavailable(f"the engine did not remove a container ({type(error).__name__})") from None


def died_of_memory(container: Container) -> bool:
    """Whether the engine saw the memory's end, where the first process was what went."""
    try:
        container.reload()
    except (APIError, OSError):
        return False
    return bool(container.attrs["State"].get("OOMKilled"))


def sweep(client: docker.DockerClient) -> None:
    """Removes the containers of workers of this machine that were killed. They have ended already: see the harness."""
    for container in client.containers.list(all=True, filters={"label": OWNER_LABEL}, ignore_removed=True):
        host, _, pid = container.labels[OWNER_LABEL].rpartition(":")
        if host == socket.gethostname() and not psutil.pid_exists(int(pid)):
            with suppress(SandboxUnavailable):  # another worker that starts may be at it
                remove(container)


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
        "ulimits": [Ulimit(name="core", soft=0, hard=0), Ulimit(name="msgqueue", soft=0, hard=0)],
        "log_config": LogConfig(type="none"),
    }


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
