"""Puts the calls of an attempt on record while it works: each before it is made, and how it stands once a second.

So what a call has used is known, but for its last second, when the process that makes it dies.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable

from agents.calls import Call
from flows.runtime.surroundings import StepAt

EVERY_SECONDS = 1.0
LAST_SECONDS = 5.0
"""How long a process that leaves the run tries to say how its calls stand."""

_logger = logging.getLogger(__name__)


class LiveCalls:
    """Of one attempt. As a context nothing is written any more when it is left: the rest goes with the step's end."""

    def __init__(self, at: StepAt) -> None:
        self._at = at
        self._over = asyncio.Event()
        self._teller: asyncio.Task[None] | None = None
        self._written: tuple[Call, ...] = ()

    async def __aenter__(self) -> "LiveCalls":
        return self

    async def __aexit__(self, *_: object) -> None:
        self._over.set()
        if self._teller is not None:
            await self._teller
        if self._at.around.activity.departure is not None:
            with contextlib.suppress(Exception):  # whoever takes the run up goes by what was written before
                async with asyncio.timeout(LAST_SECONDS):
                    await self._write()

    def book(self, agent_id: str, depth: int) -> "AgentsCalls":
        """For an agent of the attempt."""
        return AgentsCalls(self, agent_id, depth)

    async def begin(self, so_far: Callable[[], Call], agent_id: str, depth: int) -> int:
        """Notes the call and returns when that is committed."""
        number = self._at.calls.begin(
            lambda: self._masked(so_far()), agent_id=agent_id, depth=depth, at=self._at.around.ports.now()
        )
        try:
            await self._write()
        except BaseException:
            self._at.calls.drop(number)
            raise
        if self._teller is None:
            self._teller = asyncio.create_task(self._tell())
        return number

    def end(self, number: int, call: Call) -> None:
        """Notes how it ended."""
        self._at.calls.end(number, self._masked(call))

    def add(self, call: Call, agent_id: str, depth: int) -> None:
        """Notes one that was not made."""
        now = self._at.around.ports.now()
        self.end(self._at.calls.begin(lambda: call, agent_id=agent_id, depth=depth, at=now), call)

    async def _tell(self) -> None:
        while not self._over.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(EVERY_SECONDS):
                    await self._over.wait()
            if self._over.is_set() or not self._at.calls.is_open:
                continue
            try:
                await self._write()
            except Exception:
                _logger.exception("How the calls of a step stand could not be written")

    async def _write(self) -> None:
        calls = self._at.calls.now()
        if calls == self._written:
            return
        around = self._at.around
        await around.ports.journal.calls_noted(around.run.execution_id, self._at.attempt, calls)
        self._written = calls

    def _masked(self, call: Call) -> Call:
        masking = self._at.around.log.masking
        return Call.model_validate(masking.json(call.model_dump())) if masking.is_needed else call


class AgentsCalls:
    """Those of one agent of the attempt."""

    def __init__(self, live: LiveCalls, agent_id: str, depth: int) -> None:
        self._live = live
        self._agent_id = agent_id
        self._depth = depth

    async def begin(self, so_far: Callable[[], Call]) -> int:
        """Is on record when it returns."""
        return await self._live.begin(so_far, self._agent_id, self._depth)

    def end(self, number: int, call: Call) -> None:
        """Goes on record with what follows."""
        self._live.end(number, call)

    def add(self, call: Call) -> None:
        """Likewise."""
        self._live.add(call, self._agent_id, self._depth)
