"""The sandboxes that there are, from the strongest to the weakest."""

import sys

from agents.code.backend import SandboxBackend
from agents.code.guest.launch import LANDLOCK, NAMESPACES, NO_WALLS
from agents.code.linux_backend import LinuxBackend
from agents.code.selection import SandboxChoice, Selection


def selection(choice: SandboxChoice = SandboxChoice.AUTO) -> Selection:
    """A fresh one; nothing is tried or started before it is used."""
    return Selection(choice, _backends())


def _backends() -> list[SandboxBackend]:
    if sys.platform != "linux":
        return []
    return [LinuxBackend(NAMESPACES), LinuxBackend(LANDLOCK), LinuxBackend(NO_WALLS)]
