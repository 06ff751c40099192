"""Answers that an operator gave in the Prefect UI, taken when the run that they resumed comes back to a worker.

Prefect knows no users and checks nobody against `assignees`: its UI is the operator's own. The answer counts once and
only while the question is open, like any other, and the audit log says how it came.
"""

import asyncio
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import structlog

from flows.errors import PrefectRefused, PrefectUnavailable
from flows.forms import data_of
from flows.orchestrator import Orchestrator
from flows.runtime.ports import LogLine, Question
from flows.spec import WaitKind
from platform_api.access.scope import tenant_scope
from platform_api.db.engine import Sessions
from platform_api.db.models import StepWait
from platform_api.resources.executions.answering import filled_form, record_answer
from platform_api.resources.executions.journal import Journal
from platform_api.resources.executions.waits import OPERATOR, PREFECT, take_answer

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class OperatorAnswers:
    """Takes the answers to one tenant's questions."""

    sessions: Sessions
    orchestrator: Orchestrator
    tenant_id: UUID

    async def take(self, execution_id: UUID, flow_run_id: UUID) -> None:
        """Takes what was answered to the run's oldest open question, the one that the Prefect UI showed.

        One that does not fit its form is logged to the execution, and asked again. Where Prefect gives no answer now
        the run goes on without, and its question stays open.
        """
        journal = Journal(self.sessions, self.tenant_id)
        question = await journal.question(execution_id)
        if question is None:
            return
        try:
            given = await self.orchestrator.given_answer(flow_run_id, question.wait_id)
            if given is None:
                return
            refusal = await self._take(question, given)
            if refusal is not None:
                message = f"The answer in Prefect to {question.path} does not count: {refusal}"
                await journal.logged(execution_id, [LogLine(level="WARN", message=message)])
            await self.orchestrator.forget_answer(flow_run_id, question.wait_id)
        except (PrefectUnavailable, PrefectRefused) as error:
            log.warning("operators_answer_not_read", execution_id=str(execution_id), reason=str(error))

    async def _take(self, question: Question, given: dict[str, Any]) -> str | None:
        """Why the answer does not count, None when it does."""
        if question.kind is WaitKind.APPROVAL:
            comment = given.get("comment") or None
            answer: dict[str, Any] = {"approved": given.get("approved") is True, "comment": comment}
        else:
            data, wrong = await asyncio.to_thread(filled_form, question.form, data_of(question.form, given))
            if wrong:
                return "; ".join(f"{each.path}: {each.message}" if each.path else each.message for each in wrong[:5])
            answer, comment = {"data": data}, None
        async with tenant_scope(self.sessions, self.tenant_id) as scope:
            if not await take_answer(scope.session, question.wait_id, answer, by=None, via=PREFECT):
                return "it has been answered in the meantime, or its time is over"
            wait = await scope.session.get_one(StepWait, question.wait_id)
            await record_answer(scope, wait, answer, via=f"{PREFECT} ({OPERATOR})", comment=comment)
        return None
