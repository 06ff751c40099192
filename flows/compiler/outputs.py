"""What the output of a step without an agent looks like, as a schema: known before it has run."""

from typing import Any

from flows.compiler.nesting import Placed
from flows.compiler.schemas import schema_problems
from flows.spec import ConditionConfig, LoopConfig, ParallelConfig, WaitConfig, WaitKind

_WAITED: dict[WaitKind, tuple[str, ...]] = {
    WaitKind.DURATION: ("waitedSeconds",),
    WaitKind.UNTIL: ("waitedSeconds",),
    WaitKind.APPROVAL: ("approved", "by", "comment", "at"),
    WaitKind.EVENT: ("type", "data"),
}


def output_schema(step: Placed) -> dict[str, Any] | None:
    """The schema; None where nothing is known, as of a step whose `default` may take the output's place."""
    if step.spec.default is not None:
        return None
    match step.config:
        case ConditionConfig():
            return _object("result", "case", "chosen")
        case LoopConfig():
            return _object("items", "count", "failed")
        case ParallelConfig(branches=branches):
            return _object(*branches)
        case WaitConfig(kind=WaitKind.INPUT, form=form):
            return form if not schema_problems(form) else None
        case WaitConfig(kind=kind):
            return _object(*_WAITED[kind])
    return None


def _object(*fields: str) -> dict[str, Any]:
    return {"properties": {field: {} for field in fields}, "additionalProperties": False}
