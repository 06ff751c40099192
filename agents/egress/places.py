"""So many at once under each name: what one server, or one tenant, may take up of something that others need too."""

import asyncio
from dataclasses import dataclass


@dataclass
class _Held:
    places: asyncio.Semaphore
    users: int = 0
    """Who has a place or waits for one."""


class Places:
    """`each` places under every name, first come first served. Belongs to one event loop."""

    def __init__(self, each: int) -> None:
        self._each = each
        self._held: dict[str, _Held] = {}

    async def take(self, name: str) -> None:
        """Waits for a place, which `give_back` frees."""
        held = self._held.setdefault(name, _Held(asyncio.Semaphore(self._each)))
        held.users += 1
        try:
            await held.places.acquire()
        except BaseException:
            self._leave(name, held)
            raise

    def give_back(self, name: str) -> None:
        """Once for each `take` that has returned."""
        held = self._held[name]
        held.places.release()
        self._leave(name, held)

    def _leave(self, name: str, held: _Held) -> None:
        held.users -= 1
        if not held.users:
            del self._held[name]
