"""Answers to waits: a person's over REST, the operator's in the Prefect UI, and events."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

from agents.errors import Problem
from flows.compiler.defaults import DefaultsEndless, with_defaults
from flows.compiler.schemas import matches
from flows.spec import WaitKind
from flows.states import is_final
from platform_api.access.permissions import Permission
from platform_api.access.principal import Principal
from platform_api.access.roles import is_granted
from platform_api.access.scope import TenantScope
from platform_api.db.models import Execution, StepWait
from platform_api.errors import Forbidden, InvalidState, ValidationFailed
from platform_api.kit import clock
from platform_api.resources.audit_log.service import AuditLog
from platform_api.resources.executions.resumption import Resumption
from platform_api.resources.executions.schemas import ExecutionResume
from platform_api.resources.executions.service import ExecutionService
from platform_api.resources.executions.waits import QUESTIONS, REST, PlacedWait, named, take_answer, waits_of


@dataclass(frozen=True)
class Answering:
    """Answers waits inside one scope; the run goes on after the commit."""

    scope: TenantScope
    resumption: Resumption

    async def resume(self, execution_id: UUID, body: ExecutionResume) -> StepWait:
        """Answers the wait that `body.path` names, in the run or in one nested in it, and returns it as it is then.

        Raises `InvalidState` when no such question is open, `Forbidden` when somebody else is asked, and
        `ValidationFailed` for what is no answer to it.
        """
        execution, _ = await ExecutionService(self.scope).get(execution_id)
        wait = _open(execution, named(await waits_of(self.scope.session, execution_id), body.path), body.path)
        check_may_answer(self.scope.caller, wait)
        answer = await asyncio.to_thread(_answer, wait, body)
        if not await take_answer(self.scope.session, wait.id, answer, by=self.scope.caller.user_id, via=REST):
            raise InvalidState(f"{wait.path} has been answered in the meantime, or its time is over")
        await record_answer(self.scope, wait, answer, via=REST, comment=body.comment)
        self.scope.after_commit(partial(self.resumption.attempt, self.scope.tenant_id, execution_id))
        await self.scope.session.refresh(wait)
        return wait


async def record_answer(
    scope: TenantScope, wait: StepWait, answer: Mapping[str, Any], *, via: str, comment: str | None
) -> None:
    """Audits an answer; what was typed into a form stays in the execution's record."""
    after = {"path": wait.path, "kind": wait.kind, "via": via, "comment": comment}
    if wait.kind == WaitKind.APPROVAL:
        after["approved"] = answer["approved"]
    await AuditLog(scope).record("execution.resume", "execution", wait.execution_id, after=after)


def check_may_answer(caller: Principal, wait: StepWait) -> None:
    """Raises `Forbidden` unless the caller or their role is named; where nobody is, those answer who may run things.

    A key that is made for answering need not be one for running things too.
    """
    if not wait.assignees:
        if not is_granted(caller, Permission.EXECUTIONS_EXECUTE):
            raise Forbidden(f"{wait.path} is answered by those who may run workflows")
        return
    mine = (caller.user_id and str(caller.user_id), caller.tenant_role and caller.tenant_role.value)
    if not set(filter(None, mine)) & set(wait.assignees):
        raise Forbidden(f"{wait.path} asks somebody else; `assignees` of the execution's `waits` says whom")


def filled_form(schema: Mapping[str, Any] | None, data: Any) -> tuple[Any, list[Problem]]:
    """What was typed into a form, with its defaults, and what is wrong with it."""
    if schema is None:
        return data, []
    try:
        data = with_defaults(schema, data)
    except DefaultsEndless:
        return data, [Problem(path="", code="TOO_COSTLY", message="the schema's defaults never end for this data")]
    return data, matches(schema, data)


def _open(execution: Execution, found: Sequence[PlacedWait], path: str) -> StepWait:
    """The one open question among `found`."""
    asked = [each for each in found if each.wait.kind in QUESTIONS and _is_open(each.wait)]
    if len(asked) == 1:
        return asked[0].wait
    if asked:
        paths = ", ".join(sorted(each.path for each in asked)[:10])
        raise ValidationFailed(
            f"{path} names several open questions",
            details=[Problem(path="path", code="AMBIGUOUS_PATH", message=f"write one of {paths}")],
        )
    if is_final(execution.status):
        raise InvalidState(f"The execution is {execution.status.value}: it waits for nothing")
    if not found:
        raise InvalidState(f"The execution does not wait at {path}; its `waits` says where it does")
    if any(_is_open(each.wait) for each in found):
        raise InvalidState(f"{path} waits for {_awaited(found[0].wait)}, not for an answer")
    raise InvalidState(f"{path} has been answered, or its time is over")


def _is_open(wait: StepWait) -> bool:
    in_time = wait.due_at is None or wait.due_at > clock.now()
    return wait.closed_at is None and wait.answered_at is None and in_time


def _awaited(wait: StepWait) -> str:
    return "an event" if wait.kind == WaitKind.EVENT else "time to pass"


def _answer(wait: StepWait, body: ExecutionResume) -> dict[str, Any]:
    given, wanted = body.model_fields_set, "approved" if wait.kind == WaitKind.APPROVAL else "data"
    other = "data" if wanted == "approved" else "approved"
    problems = []
    if wanted not in given or (wanted == "approved" and body.approved is None):
        message = f"{wait.path} waits for {'an approval' if wanted == 'approved' else 'data'}"
        problems.append(Problem(path=wanted, code="REQUIRED", message=message))
    if other in given and getattr(body, other) is not None:
        problems.append(Problem(path=other, code="UNKNOWN_FIELD", message=f"{wait.path} takes `{wanted}`"))
    if problems:
        raise ValidationFailed("This does not answer the question", details=problems)
    if wanted == "approved":
        return {"approved": body.approved, "comment": body.comment}
    data, wrong = filled_form(wait.form, body.data)
    if wrong:
        details = [problem.under("data") for problem in wrong]
        raise ValidationFailed("The data does not fit the form's schema; the step waits on", details=details)
    return {"data": data}
