"""The record of one attempt of a step: opened before its work, closed with how it ended, whatever happens."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from agents.errors import AgentError, AgentTimeout, OutputInvalid
from agents.result import ArtifactFile
from flows.errors import ExpressionFailed, FlowError, StepFailed
from flows.runtime.paths import lies_in
from flows.runtime.ports import StepOutcome
from flows.runtime.storable import storable_json
from flows.runtime.surroundings import StepAt, Surroundings
from flows.states import StepStatus

INLINE_BYTES = 64 * 1024
"""Results up to this size lie in the record; larger ones in the result store."""

PREVIEW_CHARACTERS = 2_000

Written = TypeVar("Written")

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Produced:
    """What the work of an attempt gave."""

    output: Any
    artifacts: tuple[ArtifactFile, ...] = ()
    preview: Any = None


async def recorded(
    at: StepAt,
    *,
    inputs: Any = None,
    work: Callable[[], Awaitable[Produced]],
    is_last: Callable[[str], bool] = lambda _code: True,
    opens_itself: bool = False,
) -> Any:
    """Does the work of an attempt inside its record and gives the output; raises `StepFailed`.

    `is_last` tells whether no attempt follows a failure with that code, `opens_itself` that the work opens the record.
    A process that leaves the run leaves the record open.
    """
    around, attempt = at.around, at.attempt
    journal, execution_id = around.ports.journal, around.run.execution_id
    around.left_open.discard(at.path)
    try:
        if not opens_itself:
            shown = for_record(around.log.masking.json(inputs))
            await unbroken(journal.step_started(execution_id, attempt, inputs=shown))
        produced = await _done(work)
        outcome = await _completed(produced, around)
    except asyncio.CancelledError as cancelled:
        if around.activity.departure is None:
            await _record_stop(at, str(cancelled), may_be_unopened=opens_itself)
        raise
    except StepFailed as failed:
        outcome = _failure(failed.error, is_last)
    except ExpressionFailed as failed:
        outcome = _failure(error_record(unrendered(failed, "config")), is_last)
    except AgentError as failed:
        outcome = _failure(around.log.masking.json(error_record(failed)), is_last)
        if isinstance(failed, AgentTimeout):
            outcome = replace(outcome, status=StepStatus.TIMEOUT)
    await record_outcome(at, outcome)
    if outcome.error:
        raise StepFailed(at.path, outcome.error)
    return produced.output


async def _done(work: Callable[[], Awaitable[Produced]]) -> Produced:
    try:
        return await work()
    except (AgentError, FlowError):
        raise
    except Exception as defect:
        _logger.exception("The work of a step ended in an unexpected way")
        message = "The step ended in an unexpected way; the worker's log says how"
        raise AgentError(message, code="INTERNAL_ERROR") from defect


async def record_outcome(at: StepAt, outcome: StepOutcome) -> None:
    """Closes the attempt's record with what it has used; what the step has logged is written with it.

    Nothing stays open inside a step that is over: neither what nobody went on with since the run was taken up again,
    nor a nested run whose beginning was cut off.
    """
    around = at.around
    outcome = replace(outcome, usage=at.usage.total, sandbox=at.usage.sandbox, calls=at.calls.now())
    around.usage.add(outcome.usage)

    async def write() -> None:
        if _leaves_something_open(at, outcome):
            reason = f"Step {at.path} was over before this one had ended"
            await around.ports.journal.inside_closed(around.run.execution_id, at.path, reason=reason)
        finished = around.ports.journal.step_finished(around.run.execution_id, at.attempt, outcome)
        await asyncio.gather(around.log.flush(), finished)

    await unbroken(write())


def _leaves_something_open(at: StepAt, outcome: StepOutcome) -> bool:
    step, around = at.step, at.around
    if around.is_nested(step):
        return outcome.status is not StepStatus.COMPLETED
    is_container = step.loop is not None or step.parallel is not None
    return is_container and any(lies_in(path, at.path) for path in around.left_open)


async def unbroken(write: Coroutine[Any, Any, Written]) -> Written:
    """Waits for a write to the record even when cancelled in the middle of it; the cancellation goes on afterwards."""
    task = asyncio.ensure_future(write)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([task])
        if not task.cancelled() and (error := task.exception()):
            raise error from None
        raise


def error_record(error: AgentError) -> dict[str, Any]:
    """What the record keeps of an error: `code`, `message` and, where there are any, `path`, `hint`, `details`."""
    record = {"code": error.code, "message": error.message}
    extras = {"path": error.path, "hint": error.hint, "details": error.details}
    return record | {name: value for name, value in extras.items() if value}


def unrendered(failed: ExpressionFailed, where: str) -> AgentError:
    """The error of a step whose templates under `where` could not be filled in."""
    return AgentError(failed.message, code=failed.code, path=where, hint=failed.hint)


def for_record(value: Any) -> Any:
    """`value` as the record keeps it: what is too large is cut to a preview."""
    payload = storable_json(value)
    if len(payload) <= INLINE_BYTES:
        return value
    return {"truncated": True, "bytes": len(payload), "preview": payload[:PREVIEW_CHARACTERS].decode(errors="replace")}


async def _completed(produced: Produced, around: Surroundings) -> StepOutcome:
    done = StepOutcome(status=StepStatus.COMPLETED, artifacts=produced.artifacts)
    try:
        payload = storable_json(produced.output)
    except TypeError as unusable:
        raise OutputInvalid(f"The output cannot be kept as JSON: {unusable}") from unusable
    if len(payload) <= INLINE_BYTES:
        return replace(done, output=produced.output, preview=produced.preview)
    ref = await around.ports.results.keep_json(payload)
    preview = produced.preview or payload[:PREVIEW_CHARACTERS].decode(errors="replace")
    return replace(done, output_ref=ref, preview=preview)


def _failure(error: dict[str, Any], is_last: Callable[[str], bool]) -> StepOutcome:
    return StepOutcome(status=StepStatus.FAILED, error=error, last=is_last(error["code"]))


async def _record_stop(at: StepAt, reason: str, *, may_be_unopened: bool) -> None:
    error = {"code": "CANCELLED", "message": reason or "The run was stopped"}
    try:
        await record_outcome(at, StepOutcome(status=StepStatus.CANCELLED, error=error))
    except Exception:
        if not may_be_unopened:
            raise
