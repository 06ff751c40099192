"""Shows a model's answer while it comes in: what has gathered is told four times a second, without secrets."""

import asyncio
import contextlib

from flows.runtime.surroundings import StepAt

EVERY_SECONDS = 0.25
LONGEST_SECONDS = 5.0
"""What takes longer to tell is left out: the step does not wait for those who listen."""


class LiveText:
    """Of one attempt. As a context it has told everything when it is left."""

    def __init__(self, at: StepAt) -> None:
        self._at = at
        self._gathered = ""
        self._over = asyncio.Event()
        self._teller: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "LiveText":
        return self

    async def __aexit__(self, *_: object) -> None:
        self._over.set()
        if self._teller is not None:
            await self._teller

    def tell(self, text: str) -> None:
        """Takes a piece in."""
        self._gathered += text
        if self._teller is None:
            self._teller = asyncio.create_task(self._tell_all())

    async def _tell_all(self) -> None:
        while not self._over.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(EVERY_SECONDS):
                    await self._over.wait()
            await self._tell(self._at.around.log.masking.settled(self._gathered))
        if self._at.around.activity.departure is None:
            await self._tell(len(self._gathered))

    async def _tell(self, length: int) -> None:
        if not length:
            return
        text, self._gathered = self._gathered[:length], self._gathered[length:]
        around, attempt = self._at.around, self._at.attempt
        with contextlib.suppress(Exception):  # the record is right without it
            async with asyncio.timeout(LONGEST_SECONDS):
                await around.ports.journal.text_told(
                    around.run.execution_id,
                    step_key=attempt.step_key,
                    path=attempt.path,
                    text=around.log.masking(text),
                )
