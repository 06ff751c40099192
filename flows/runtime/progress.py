"""How far a loop is: told to listeners about once a second, however many items it has."""

import asyncio
import contextlib

from flows.runtime.surroundings import StepAt

EVERY_SECONDS = 1.0


class LoopProgress:
    """Counts the bodies of one loop that have ended. As a context it tells of them for as long as it is open."""

    def __init__(self, at: StepAt, total: int | None, bound: int) -> None:
        self._at = at
        self._total = total
        self._shown = at.stage.loop(at.path, total, bound)
        self._done = 0
        self._told = 0
        self._teller: asyncio.Task[None] | None = None

    async def __aenter__(self) -> None:
        self._teller = asyncio.create_task(self._tell_forever())

    async def __aexit__(self, *_: object) -> None:
        if self._teller:
            self._teller.cancel()
            await asyncio.wait([self._teller])
        if self._told and self._at.around.activity.departure is None:
            await self._tell()
        await self._shown.close()

    def began(self, index: int) -> None:
        """A body begins."""
        self._shown.began(index)

    def ended(self, index: int, *, failed: bool) -> None:
        """A body has ended, or was stopped."""
        self._done += 1
        self._shown.ended(index, failed=failed)

    async def _tell_forever(self) -> None:
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            await self._tell()

    async def _tell(self) -> None:
        if self._done == self._told:
            return
        self._told = self._done
        around = self._at.around
        with contextlib.suppress(Exception):  # the record is right without it
            await around.ports.journal.progressed(
                around.run.execution_id, self._at.path, done=self._done, total=self._total
            )
