"""The sandboxes that there are, from the strongest to the weakest."""

import sys

from agents.code.backend import SandboxBackend
from agents.code.docker.backend import DockerBackend
from agents.code.docker.place import EnginePlace
from agents.code.guest.launch import LANDLOCK, NAMESPACES, NO_WALLS
from agents.code.linux_backend import LinuxBackend
from agents.code.selection import SandboxChoice, Selection


def selection(choice: SandboxChoice = SandboxChoice.AUTO, engine: EnginePlace | None = None) -> Selection:
    """A fresh one; nothing is tried or started before it is used."""
    return Selection(choice, _backends(engine or EnginePlace()))


def _backends(engine: EnginePlace) -> list[SandboxBackend]:
    containers = DockerBackend(engine)
    if sys.platform != "linux":
        return [containers]
    return [LinuxBackend(NAMESPACES), containers, LinuxBackend(LANDLOCK), LinuxBackend(NO_WALLS)]
