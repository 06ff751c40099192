"""Delivers events to the WAIT steps that wait for them."""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any

import structlog

from flows.compiler.expressions import evaluate
from flows.errors import ExpressionFailed
from platform_api.access.scope import TenantScope
from platform_api.resources.audit_log.service import AuditLog
from platform_api.resources.executions.resumption import Resumption
from platform_api.resources.executions.waits import EVENT, AwaitedEvent, event_waits, take_answer

BATCH = 100
"""Waits whose filters are looked at together."""

log = structlog.get_logger(__name__)


class Events:
    """Events inside one scope; the runs that took one go on after the commit."""

    def __init__(self, scope: TenantScope, resumption: Resumption) -> None:
        self._scope = scope
        self._resumption = resumption

    async def deliver(self, kind: str, data: Any) -> int:
        """Answers every open wait for `kind` whose filter holds; returns how many there were."""
        event = {"type": kind, "data": data}
        delivered, last = 0, None
        while waits := await event_waits(self._scope, kind, after=last, limit=BATCH):
            last = waits[-1].wait_id
            for wait in await asyncio.to_thread(_fitting, waits, event):
                delivered += await self._hand_over(wait, event)
        after = {"type": kind, "delivered": delivered}
        await AuditLog(self._scope).record("event.deliver", "event", None, after=after)
        return delivered

    async def _hand_over(self, wait: AwaitedEvent, event: dict[str, Any]) -> bool:
        scope = self._scope
        taken = await take_answer(scope.session, wait.wait_id, event, by=scope.caller.user_id, via=EVENT)
        if taken:
            scope.after_commit(partial(self._resumption.attempt, scope.tenant_id, wait.execution_id))
        return taken


def _fitting(waits: Sequence[AwaitedEvent], event: dict[str, Any]) -> list[AwaitedEvent]:
    return [wait for wait in waits if _holds(wait, event)]


def _holds(wait: AwaitedEvent, event: dict[str, Any]) -> bool:
    """Whether the wait's filter holds; one that cannot be computed for this event does not."""
    if wait.filter is None:
        return True
    try:
        return bool(evaluate(wait.filter, {"event": event, **wait.names}))
    except ExpressionFailed as failed:
        log.info("event_filter_failed", execution_id=str(wait.execution_id), reason=failed.message)
        return False
