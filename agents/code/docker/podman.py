"""What Podman takes differently from Docker, behind the same API."""

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agents.code.docker.profile import seccomp_profile
from agents.code.leftovers import WORK_FOLDERS

ENGINE = "Podman Engine"
PROCESSES_OF_ALL = 32_768
"""Of all containers of one user together: far beyond what they have, each has a limit of its own. Podman asks for
millions where none is named, which an engine without privileges may not have."""


def is_podman(version: Mapping[str, Any]) -> bool:
    """Whether `version` is what Podman says of itself."""
    return any(part.get("Name") == ENGINE for part in version.get("Components") or ())


@contextmanager
def options_for_podman(options: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The options of a container to be made in this block.

    The list of system calls is read from a file by the engine, which so has to see this machine's files. Temporary
    folders have no limit of inodes; these count as memory of the container.
    """
    with tempfile.TemporaryDirectory(prefix=f"{WORK_FOLDERS}{os.getpid()}-") as folder:
        profile = Path(folder) / "seccomp.json"
        profile.write_text(seccomp_profile())
        os.chmod(folder, 0o755)  # noqa: S103 - an engine may run as another user, and nothing in it is secret
        yield {
            **options,
            "security_opt": [*_without_profile(options["security_opt"]), f"seccomp={profile}"],
            "tmpfs": {path: _without_inodes(mounted) for path, mounted in options["tmpfs"].items()},
            "ulimits": [*options["ulimits"], {"name": "nproc", "soft": PROCESSES_OF_ALL, "hard": PROCESSES_OF_ALL}],
        }


def _without_profile(security: list[str]) -> list[str]:
    return [option for option in security if not option.startswith("seccomp=")]


def _without_inodes(mounted: str) -> str:
    return ",".join(option for option in mounted.split(",") if not option.startswith("nr_inodes="))
