"""Collects a run's log lines and writes them in batches, so that logging never waits for the database."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

from agents.context import Log
from agents.masking import Masking
from flows.runtime.ports import LogLine, StepAttempt

FLUSH_SECONDS = 0.2
MAX_MESSAGE_CHARACTERS = 16_384
MAX_LINES_PER_RUN = 100_000
LINES_PER_WRITE = 1_000
MIRRORED_LINES_PER_STEP = 1_000
"""A mirrored line costs most of a millisecond of the loop that all runs of the process share."""

_logger = logging.getLogger(__name__)

Write = Callable[[list[LogLine]], Awaitable[None]]
Mirror = Callable[[str, str, str | None], None]
"""Called with level, message and the key of the step that it belongs to, if any."""


class RunLog:
    """Buffers lines; `flush` writes what is there, the context manager flushes every `FLUSH_SECONDS` and at the end."""

    def __init__(self, write: Write, mirror: Mirror, masking: Masking | None = None) -> None:
        self._write = write
        self.masking = masking or Masking()
        """Takes secrets out of every line that comes in from now on, and out of its mirror."""
        self._mirror = mirror
        self._lines: list[LogLine] = []
        self._mirrored: Counter[str | None] = Counter()
        self._taken = 0
        self._flushing = asyncio.Lock()
        self._flusher: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "RunLog":
        self._flusher = asyncio.create_task(self._flush_forever())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._flusher:
            self._flusher.cancel()
            await asyncio.gather(self._flusher, return_exceptions=True)
        await self.flush()

    def nested(self, write: Write) -> "RunLog":
        """The log of a run nested in this one: written elsewhere, mirrored and masked alike."""
        return RunLog(write, self._mirror, self.masking)

    def for_step(self, attempt: StepAttempt) -> Log:
        """The sink that an executor gets: its lines bear the attempt's name."""

        def log(level: str, message: str, **metadata: Any) -> None:
            self.add(level, message, step_key=attempt.step_key, step_run_id=attempt.step_run_id, metadata=metadata)

        return log

    def add(
        self,
        level: str,
        message: str,
        *,
        step_key: str | None = None,
        step_run_id: UUID | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """Takes one line in; lines past the run's bound are dropped, with one line that says so."""
        self._taken += 1
        if self._taken > MAX_LINES_PER_RUN:
            return
        if self._taken == MAX_LINES_PER_RUN:
            level, message = "WARN", f"The log is cut here: a run keeps {MAX_LINES_PER_RUN:,} lines"
        text = self.masking(message).replace("\x00", "\N{REPLACEMENT CHARACTER}")[:MAX_MESSAGE_CHARACTERS]
        shown = self.masking.json(metadata or {})
        line = LogLine(level=level, message=text, step_key=step_key, step_run_id=step_run_id, metadata=shown)
        self._lines.append(line)
        self._show(level, text, step_key)

    def _show(self, level: str, text: str, step_key: str | None) -> None:
        self._mirrored[step_key] += 1
        if self._mirrored[step_key] <= MIRRORED_LINES_PER_STEP:
            self._mirror(level, text, step_key)
        elif self._mirrored[step_key] == MIRRORED_LINES_PER_STEP + 1:
            self._mirror("WARN", "Further lines of this step are in the execution's log alone", step_key)

    async def flush(self) -> None:
        """Writes everything that was added before this call; what cannot be written stays for the next."""
        async with self._flushing:
            waiting = len(self._lines)
            while waiting > 0 and (batch := self._lines[: min(waiting, LINES_PER_WRITE)]):
                await self._write(batch)
                del self._lines[: len(batch)]
                waiting -= len(batch)

    async def _flush_forever(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            try:
                await self.flush()
            except Exception:
                _logger.exception("A run's log lines wait to be written")
