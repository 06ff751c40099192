"""The law of runs: which status may follow which. The journal moves along these tables; nobody else writes status."""

from collections.abc import Mapping
from enum import StrEnum


class ExecutionStatus(StrEnum):
    """Where an execution stands."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    TIMEOUT = "TIMEOUT"


class StepStatus(StrEnum):
    """Where one attempt of a step stands."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    SKIPPED = "SKIPPED"
    CANCELLED = "CANCELLED"
    TIMEOUT = "TIMEOUT"


class TriggerType(StrEnum):
    """What started an execution."""

    MANUAL = "MANUAL"
    SCHEDULED = "SCHEDULED"
    API = "API"
    WEBHOOK = "WEBHOOK"
    EVENT = "EVENT"


class Environment(StrEnum):
    """Where a workflow runs; decides its Prefect deployment and work pool."""

    DEVELOPMENT = "DEVELOPMENT"
    STAGING = "STAGING"
    PRODUCTION = "PRODUCTION"


class OnError(StrEnum):
    """What a failed step means for the run."""

    FAIL = "FAIL"
    CONTINUE = "CONTINUE"
    RETRY = "RETRY"


_E = ExecutionStatus
_ENDED = frozenset({_E.COMPLETED, _E.FAILED, _E.CANCELLED, _E.TIMEOUT})

EXECUTION_MOVES: Mapping[ExecutionStatus, frozenset[ExecutionStatus]] = {
    _E.PENDING: frozenset({_E.RUNNING, _E.FAILED, _E.CANCELLED, _E.TIMEOUT}),
    _E.RUNNING: _ENDED | {_E.PAUSED},
    _E.PAUSED: frozenset({_E.RUNNING, _E.FAILED, _E.CANCELLED, _E.TIMEOUT}),
    _E.COMPLETED: frozenset(),
    _E.FAILED: frozenset(),
    _E.CANCELLED: frozenset(),
    _E.TIMEOUT: frozenset(),
}

_S = StepStatus
_STEP_ENDED = frozenset({_S.COMPLETED, _S.FAILED, _S.SKIPPED, _S.CANCELLED, _S.TIMEOUT})

STEP_MOVES: Mapping[StepStatus, frozenset[StepStatus]] = {
    _S.PENDING: frozenset({_S.RUNNING, _S.SKIPPED, _S.CANCELLED, _S.FAILED}),
    _S.RUNNING: (_STEP_ENDED - {_S.SKIPPED}) | {_S.PAUSED},
    _S.PAUSED: frozenset({_S.RUNNING, _S.COMPLETED, _S.FAILED, _S.CANCELLED, _S.TIMEOUT}),
    _S.COMPLETED: frozenset(),
    _S.FAILED: frozenset(),
    _S.SKIPPED: frozenset(),
    _S.CANCELLED: frozenset(),
    _S.TIMEOUT: frozenset(),
}


OPEN = frozenset(status for status, following in EXECUTION_MOVES.items() if following)
"""Of executions: those that something may follow."""
FAILED_STEPS = frozenset({_S.FAILED, _S.TIMEOUT})
"""How an attempt ends badly by itself."""


def is_final(status: ExecutionStatus) -> bool:
    """Whether nothing may follow `status`."""
    return not EXECUTION_MOVES[status]


def is_final_step(status: StepStatus) -> bool:
    """Whether nothing may follow `status`."""
    return not STEP_MOVES[status]
