"""`unsafe-local` is no sandbox: that code runs so is told in every answer and goes on record with each run."""

import asyncio
import time
from uuid import UUID

import structlog

from agents.code.selection import SandboxChoice
from flows.plan import Plan
from platform_api.access.scope import TenantScope, system_scope
from platform_api.db.engine import Sessions
from platform_api.kit.asgi.answer_headers import add_answer_headers
from platform_api.kit.asgi.messages import Application, Receive, ScopeMap, Send
from platform_api.resources.audit_log.service import AuditLog
from platform_api.resources.workers.gate import code_languages
from platform_api.resources.workers.repository import WorkerRows

HEADER = "X-Code-Sandbox"
UNSAFE = SandboxChoice.UNSAFE_LOCAL.value
LOOK_SECONDS = 5.0
"""How old an answer may be. Nothing is asked while nobody asks us."""
PATIENCE_SECONDS = 0.5
"""How long an answer waits for the database; what was known before holds then."""

log = structlog.get_logger(__name__)


class UnsafeWorkers:
    """Whether code runs without a sandbox somewhere: as this process is set, or as a worker that lives says."""

    def __init__(self, sessions: Sessions, choice: SandboxChoice) -> None:
        self._sessions = sessions
        self._is_set = choice is SandboxChoice.UNSAFE_LOCAL
        self._seen = False
        self._looked_at = -LOOK_SECONDS
        self._turn = asyncio.Lock()

    async def any(self) -> bool:
        """As it is now, or was some seconds ago."""
        if not self._is_set and self._is_old():
            async with self._turn:
                if self._is_old():
                    await self._look()
        return self._is_set or self._seen

    def _is_old(self) -> bool:
        return time.monotonic() - self._looked_at >= LOOK_SECONDS

    async def _look(self) -> None:
        try:
            async with asyncio.timeout(PATIENCE_SECONDS), system_scope(self._sessions) as scope:
                self._seen = any(each.sandbox == UNSAFE for each in await WorkerRows(scope.session).live())
        except Exception as error:  # what keeps the database away is told by what needs it
            log.warning("workers_not_looked_at", error=type(error).__name__)
        self._looked_at = time.monotonic()


class TellsUnsafe:
    """Adds the header to every answer, whatever it is; stands inside of `AnswerHeaders`."""

    def __init__(self, app: Application) -> None:
        self.app = app

    async def __call__(self, scope: ScopeMap, receive: Receive, send: Send) -> None:
        """Passes on."""
        if scope["type"] == "http":
            workers: UnsafeWorkers = scope["app"].state.unsafe_workers
            if await workers.any():
                add_answer_headers(scope, {HEADER: UNSAFE})
        await self.app(scope, receive, send)


async def record_unsafe_start(scope: TenantScope, execution_id: UUID, plan: Plan) -> None:
    """A process that has no sandbox takes a run with code: to be called where `unsafe-local` is set."""
    if code_languages(plan) is not None:
        after = {"codeSandbox": UNSAFE}
        await AuditLog(scope).record("execution.unsafe_sandbox", "execution", execution_id, after=after)
