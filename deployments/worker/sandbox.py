"""Says at a worker's start which sandbox CODE agents have here, or why they are refused."""

import structlog

from agents.code.backend import SandboxUnavailable
from agents.code.selection import Selection
from deployments.wiring import Wiring
from platform_api.access.scope import system_scope
from platform_api.resources.audit_log.service import AuditLog

log = structlog.get_logger(__name__)


async def announce(sandboxes: Selection, wiring: Wiring) -> None:
    """Tries them as the warm processes will, and lets go of what that took. No sandbox at all goes on the record."""
    try:
        backend = await sandboxes.backend()
    except SandboxUnavailable as error:
        log.error("code_agents_refused", reason=error.message)
        return
    finally:
        await sandboxes.aclose()
    probe = sandboxes.probes[backend.name]
    if backend.safe:
        log.info(
            "code_sandbox", backend=backend.name, languages=sorted(probe.languages), held_back=dict(probe.canaries)
        )
        return
    log.warning("code_agents_run_without_a_sandbox", backend=backend.name)
    async with system_scope(wiring.sessions) as scope:
        await AuditLog(scope).record("worker.unsafe_sandbox", "worker", None, after={"codeSandbox": backend.name})
