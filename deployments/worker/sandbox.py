"""Says which sandbox CODE agents have at this worker, or why they are refused, as long as it lives."""

import asyncio
import contextlib
import os
import socket

import structlog

from agents.code.backend import SandboxUnavailable
from agents.code.selection import Selection
from flows.runtime.record import unbroken
from platform_api.access.scope import system_scope
from platform_api.db.engine import Sessions
from platform_api.kit.ids import new_id
from platform_api.resources.audit_log.service import AuditLog
from platform_api.resources.workers.repository import SandboxState, WorkerRows
from platform_api.resources.workers.unsafe import UNSAFE

BEAT_SECONDS = 10.0
"""Often enough that one lost write does not make a worker count as dead."""
AGAIN_SECONDS = 60.0
"""A machine can be mended while its worker runs: as the runs themselves do, it is tried again."""
GONE_SECONDS = 2.0

log = structlog.get_logger(__name__)


class Announcement:
    """What one worker says of itself in the database. Runs do not wait for it, and go on where it cannot be said."""

    def __init__(self, sandboxes: Selection, sessions: Sessions) -> None:
        self._sandboxes = sandboxes
        self._sessions = sessions
        self._id = new_id()
        self._is_on_record = False
        self._name = f"{socket.gethostname()}-{os.getpid()}"

    async def keep(self) -> None:
        """Until it is cancelled, which takes back what was said."""
        state = await self.tried()
        tried_at = asyncio.get_running_loop().time()
        try:
            while True:
                await unbroken(self._tell(state))
                await asyncio.sleep(BEAT_SECONDS)
                if state.sandbox is None and asyncio.get_running_loop().time() - tried_at >= AGAIN_SECONDS:
                    state, tried_at = await self.tried(), asyncio.get_running_loop().time()
        finally:
            await self._take_back()

    async def tried(self) -> SandboxState:
        """Tries sandboxes as the warm processes will, and lets go of what that took."""
        try:
            backend = await self._sandboxes.backend()
        except SandboxUnavailable as error:
            log.error("code_agents_refused", reason=error.message)
            return SandboxState(refusal=error.message)
        finally:
            await self._sandboxes.aclose()
        probe = self._sandboxes.probes[backend.name]
        state = SandboxState(sandbox=backend.name, languages=frozenset(probe.languages))
        if backend.safe:
            languages = sorted(probe.languages)
            log.info("code_sandbox", backend=backend.name, languages=languages, held_back=dict(probe.canaries))
            return state
        log.warning("code_agents_run_without_a_sandbox", backend=backend.name)
        return state

    async def _tell(self, state: SandboxState) -> None:
        """What cannot be told now is with the next beat. That there is no sandbox by choice goes on record once."""
        try:
            async with system_scope(self._sessions) as scope:
                rows = WorkerRows(scope.session)
                await rows.drop_dead()
                await rows.keep(self._id, self._name, state)
                if state.sandbox == UNSAFE and not self._is_on_record:
                    await AuditLog(scope).record("worker.unsafe_sandbox", "worker", None, after={"codeSandbox": UNSAFE})
            self._is_on_record = True
        except Exception as error:
            log.warning("sandbox_not_announced", error=type(error).__name__)

    async def _take_back(self) -> None:
        """What cannot be taken back now is forgotten soon."""
        with contextlib.suppress(Exception):
            async with asyncio.timeout(GONE_SECONDS), system_scope(self._sessions) as scope:
                await WorkerRows(scope.session).drop(self._id)
