"""What a WAIT step needs and refuses, by its kind."""

import math
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from agents.errors import Problem
from flows.compiler.expressions import expression_problems, expression_uses, syntax_problems
from flows.compiler.schemas import schema_problems
from flows.compiler.scopes import filter_problems
from flows.spec import WaitConfig, WaitKind

MAX_SECONDS = 366 * 24 * 3600.0

_NEEDS = {
    WaitKind.DURATION: "seconds",
    WaitKind.UNTIL: "at",
    WaitKind.INPUT: "schema",
    WaitKind.EVENT: "eventType",
}
_ASKS = frozenset({"message", "assignees", "timeoutSeconds", "onTimeout"})
_TAKES = {
    WaitKind.DURATION: frozenset({"seconds", "message"}),
    WaitKind.UNTIL: frozenset({"at", "message"}),
    WaitKind.APPROVAL: _ASKS | {"onReject"},
    WaitKind.INPUT: _ASKS | {"schema"},
    WaitKind.EVENT: frozenset({"eventType", "filter", "message", "timeoutSeconds", "onTimeout"}),
}


def wait_problems(wait: WaitConfig, path: str) -> Iterator[Problem]:
    """Problems of the config of a WAIT step, which stands at `path`."""
    written = wait.model_dump(by_alias=True, exclude_unset=True, exclude_none=True)
    needed = _NEEDS.get(wait.kind)
    if needed is not None and needed not in written:
        message = f"a WAIT of the kind `{wait.kind}` needs `{needed}`"
        yield Problem(path=f"{path}.{needed}", code="MISSING_FIELD", message=message)
    for name in written:
        if name != "kind" and name not in _TAKES[wait.kind]:
            kinds = " or ".join(f"`{kind}`" for kind, takes in _TAKES.items() if name in takes)
            message = f"belongs to a WAIT of the kind {kinds}, not `{wait.kind}`"
            yield Problem(path=f"{path}.{name}", code="BAD_CONFIG", message=message)
    yield from _timeout_problems(wait, path)
    yield from _time_problems(wait, path)
    for name, value in templated_fields(wait):
        yield from syntax_problems(value, f"{path}.{name}")
    yield from schema_problems(wait.form, f"{path}.schema")
    if wait.filter is not None:
        yield from expression_problems(wait.filter, f"{path}.filter")
        yield from filter_problems(expression_uses(wait.filter, f"{path}.filter"))


def templated_fields(wait: WaitConfig) -> Iterator[tuple[str, Any]]:
    """What is filled in when the step begins, by the written name."""
    yield from (("seconds", wait.seconds), ("at", wait.at), ("message", wait.message), ("eventType", wait.event_type))
    yield from (("schema", wait.form), ("assignees", list(wait.assignees)))


def _timeout_problems(wait: WaitConfig, path: str) -> Iterator[Problem]:
    where = f"{path}.onTimeout"
    if wait.on_timeout in ("APPROVE", "REJECT") and wait.kind is not WaitKind.APPROVAL:
        message = f"{wait.on_timeout} answers an approval; write FAIL or CONTINUE"
        yield Problem(path=where, code="BAD_CONFIG", message=message)
    elif "on_timeout" in wait.model_fields_set and wait.timeout_seconds is None:
        yield Problem(path=where, code="BAD_CONFIG", message="has an effect only with `timeoutSeconds`")


def _time_problems(wait: WaitConfig, path: str) -> Iterator[Problem]:
    """Literals that are no time; templates are looked at when the step runs."""
    if isinstance(wait.seconds, str):
        if "{{" not in wait.seconds:
            message = "write a number, or a template such as `{{ inputs.delay }}`"
            yield Problem(path=f"{path}.seconds", code="BAD_VALUE", message=message)
    elif wait.seconds is not None and not (math.isfinite(wait.seconds) and 0 <= wait.seconds <= MAX_SECONDS):
        message = f"seconds are between 0 and {MAX_SECONDS:,.0f} (366 days)"
        yield Problem(path=f"{path}.seconds", code="BAD_VALUE", message=message)
    if wait.at is not None and "{{" not in wait.at and not _is_time(wait.at):
        message = "write an ISO 8601 time such as `2027-01-31T08:00:00Z` (UTC where no zone is written), or a template"
        yield Problem(path=f"{path}.at", code="BAD_VALUE", message=message)


def _is_time(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True
