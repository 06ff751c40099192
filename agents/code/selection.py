"""Which sandbox is used: the one that is asked for, or the strongest that holds. Never a weaker one in its place."""

import asyncio
from collections.abc import Mapping, Sequence
from enum import StrEnum

from agents.code.backend import Probe, SandboxBackend, SandboxUnavailable

SERVICE = "run a worker on Linux with user namespaces or Docker, or see `turbocat doctor`"


class SandboxChoice(StrEnum):
    """The values of the setting; all but `auto` name a backend."""

    AUTO = "auto"
    NAMESPACE = "namespace"
    DOCKER = "docker"
    LANDLOCK = "landlock"
    UNSAFE_LOCAL = "unsafe-local"


class Selection:
    """Tries backends when one is first needed and keeps to the one that it has found.

    One that stops working later makes runs fail; nothing else is tried instead. Where none was found each new call
    tries again: a machine can be mended while its worker runs.
    """

    def __init__(self, choice: SandboxChoice, backends: Sequence[SandboxBackend]) -> None:
        """`backends` are ordered from the strongest to the weakest."""
        self._choice = choice
        self._backends = tuple(backends)
        self._found: SandboxBackend | None = None
        self._probes: dict[str, Probe] = {}
        self._looking = asyncio.Lock()

    @property
    def probes(self) -> Mapping[str, Probe]:
        """By name, of those that were tried."""
        return self._probes

    async def backend(self) -> SandboxBackend:
        """Raises `SandboxUnavailable` with what each candidate lacks."""
        if self._found is None:
            async with self._looking:
                self._found = self._found or await self._look()
        return self._found

    async def aclose(self) -> None:
        """Ends what the backends keep between runs."""
        for backend in self._backends:
            await backend.aclose()

    async def _look(self) -> SandboxBackend:
        for backend in self._candidates():
            probe = self._probes[backend.name] = await backend.probe()
            if probe.available:
                return backend
            await backend.aclose()
        lacks = "; ".join(f"{name}: {probe.reason}" for name, probe in self._probes.items())
        raise SandboxUnavailable(
            f"CODE agents are refused: no sandbox works here ({lacks})", hint=SERVICE, details={"sandboxes": lacks}
        )

    def _candidates(self) -> list[SandboxBackend]:
        if self._choice is SandboxChoice.AUTO:
            return [backend for backend in self._backends if backend.safe]
        return [backend for backend in self._backends if backend.name == self._choice.value]
