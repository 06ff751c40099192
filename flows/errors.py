"""What can be wrong with a workflow, and how a run of one ends badly.

    FlowError
    ├── DefinitionInvalid   every problem of a definition at once; raised when it is saved or compiled
    ├── ExpressionFailed    EXPRESSION_FAILED      a template met values that it cannot compute with
    │   └── UnresolvedReference  UNRESOLVED_REFERENCE   a template names data that is not there
    └── StepFailed          one attempt of a step failed; carries the stable code that `retryOn` matches

`PrefectUnavailable` and `PrefectRefused` (the Prefect API cannot be reached, or said no) live here too, because the
orchestrator is the only gateway to it.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

from agents.errors import Problem


class FlowError(Exception):
    """The root of this package's errors."""


class DefinitionInvalid(FlowError):
    """The definition has problems; nothing was compiled or stored."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("; ".join(f"{p.path}: {p.message}" for p in problems))
        self.problems = tuple(problems)


class ExpressionFailed(FlowError):
    """An expression could not be computed at run time. The message shows the expression, never the values it met."""

    code: ClassVar[str] = "EXPRESSION_FAILED"

    def __init__(self, message: str, *, path: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.path = path
        self.hint = hint


class UnresolvedReference(ExpressionFailed):
    """Data that an expression names is missing; `path` is the exact reference, as far as the first missing part."""

    code: ClassVar[str] = "UNRESOLVED_REFERENCE"


class StepFailed(FlowError):
    """One attempt of a step failed. `error` is what the record keeps: code, message, path, hint, details."""

    def __init__(self, step_key: str, error: dict[str, Any]) -> None:
        super().__init__(f"{step_key}: {error['message']}")
        self.step_key = step_key
        self.error = error

    @property
    def code(self) -> str:
        """The stable error code, for `retryOn`."""
        return str(self.error["code"])


class PrefectUnavailable(FlowError):
    """The Prefect API gave no answer; what was asked for may be asked again later."""


class PrefectRefused(FlowError):
    """The Prefect API answered with an error that asking again will not change."""
