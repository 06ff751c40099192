"""From what a sandbox gives back to a result or a typed error. User code may have written the answer: it is checked."""

import json
import signal
from collections.abc import Mapping
from typing import Any, NamedTuple, NoReturn

import orjson
from pydantic import BaseModel, Field, ValidationError
from pydantic.alias_generators import to_camel

from agents.code.backend import Limits, Outcome, Reason
from agents.code.config import MIB, CodeConfig
from agents.errors import AgentTimeout, CodeFailed, LimitExceeded, OutputInvalid

HEAP_FULL_SHARE = 0.5


class Limit(NamedTuple):
    """How passing a limit is told. `field` is the config's; `what` is filled with its value."""

    code: str
    field: str
    what: str
    instead: str


LIMITS = {
    Reason.MEMORY: Limit("MEMORY_LIMIT", "memory_mb", "used more than {} MiB of memory", "keep less at once"),
    Reason.CPU: Limit("CPU_LIMIT", "cpu_seconds", "used more than {:g} s of processor time", "do less"),
    Reason.PROCESSES: Limit("PROCESS_LIMIT", "max_processes", "wanted more than {} processes", "start fewer"),
    Reason.DISK: Limit("DISK_LIMIT", "disk_mb", "wrote more than {} MiB, or too many files", "write less"),
}
MET_AS_ERROR = {"memory": Reason.MEMORY, "disk": Reason.DISK, "processes": Reason.PROCESSES}
"""What a harness calls the limits that programs meet as exceptions."""


class Frame(BaseModel):
    """One line of the user's traceback."""

    line: int
    function: str = Field(max_length=200)
    text: str = Field(max_length=400)


class Failure(BaseModel):
    """What the harness writes when there is no result."""

    failure: str
    type: str = Field(max_length=500)
    message: str = Field(max_length=8000)
    frames: list[Frame] = Field(max_length=64)


def raise_for_limit(outcome: Outcome, config: CodeConfig, limits: Limits) -> None:
    """Raises when the sandbox or the kernel stopped the program."""
    reason = outcome.reason or _known_by_signal(outcome, config)
    if reason is Reason.TIMEOUT:
        raise timed_out(limits.wall_seconds or 0)
    if reason is Reason.OUTPUT:
        raise output_exceeded(outcome.what, config)
    if reason is not None:
        raise _exceeded(reason, config)


def _known_by_signal(outcome: Outcome, config: CodeConfig) -> Reason | None:
    spent = outcome.usage.cpu_seconds >= config.cpu_seconds - 1 and outcome.signal == signal.SIGKILL
    if outcome.signal == signal.SIGXCPU or spent:
        return Reason.CPU
    if outcome.signal == signal.SIGXFSZ:
        return Reason.DISK
    heap_full = outcome.usage.memory_bytes > config.memory_mb * MIB * HEAP_FULL_SHARE
    if config.language == "node" and heap_full and outcome.signal in (signal.SIGABRT, signal.SIGTRAP):
        return Reason.MEMORY  # V8 gives up by aborting
    return None


def _exceeded(reason: Reason, config: CodeConfig) -> LimitExceeded:
    limit = LIMITS[reason]
    value = getattr(config, limit.field)
    message = f"the code {limit.what.format(value)}; raise `{to_camel(limit.field)}` or {limit.instead}"
    return LimitExceeded(message, code=limit.code, details={to_camel(limit.field): value})


def output_exceeded(what: str, config: CodeConfig) -> LimitExceeded:
    field = {"result": "max_result_bytes", "files": "disk_mb"}.get(what, "max_output_bytes")
    limit = getattr(config, field) * (MIB if what == "files" else 1)
    message = f"the code's {what} is larger than {limit} bytes; raise `{to_camel(field)}` or write less"
    return LimitExceeded(message, code="OUTPUT_LIMIT", details={"limitBytes": limit, "what": what})


def timed_out(seconds: float) -> AgentTimeout:
    message = f"the code ran longer than {seconds:g} s and was stopped; raise `timeoutSeconds` or do less"
    return AgentTimeout(message, details={"timeoutSeconds": seconds})


def read_result(outcome: Outcome, config: CodeConfig) -> Any:
    """The value that `main` returned; raises what explains why there is none."""
    if not outcome.answer:
        raise CodeFailed(
            _end_without_answer(outcome), details={"exitCode": outcome.exit_code, "signal": outcome.signal}
        )
    message = _decoded(outcome.answer)
    if message.get("ok") is not True:
        _raise_failure(message, config)
    return message.get("result")


def _end_without_answer(outcome: Outcome) -> str:
    if outcome.signal is not None:
        return f"the code was killed by signal {_signal_name(outcome.signal)} before it gave a result"
    return f"the code ended its process (exit code {outcome.exit_code}) without a result; return it from `main`"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)


def _decoded(answer: bytes) -> Mapping[str, Any]:
    """Only what every later reader takes: no NaN, no integer beyond 64 bits, no lone surrogate, no deep nesting."""
    try:
        message = json.loads(answer, parse_constant=_refuse_constant)
        orjson.dumps(message)
    except (ValueError, TypeError, RecursionError) as error:
        raise OutputInvalid(f"the result is no plain JSON: {error}; return only JSON values from `main`") from None
    if not isinstance(message, dict):
        raise OutputInvalid("the result pipe was written to by the code itself; return the result from `main`")
    return message


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not allowed")


def _raise_failure(message: Mapping[str, Any], config: CodeConfig) -> NoReturn:
    try:
        failure = Failure.model_validate(message)
    except ValidationError:
        raise OutputInvalid("the result pipe was written to by the code itself; return it from `main`") from None
    if failure.failure in MET_AS_ERROR:
        raise _exceeded(MET_AS_ERROR[failure.failure], config)
    if failure.failure == "result":
        raise OutputInvalid(
            f"the result of `main` is no JSON: {failure.message}; return dicts with text keys, lists, text, numbers, "
            "true, false or None"
        )
    if failure.failure == "exit":
        raise CodeFailed(f"the code called sys.exit({failure.message}); return the result from `main` instead")
    raise CodeFailed(_headline(failure), details=_details(failure))


def _headline(failure: Failure) -> str:
    where = f" (line {failure.frames[-1].line})" if failure.frames else ""
    return f"{failure.type}: {failure.message}{where}" if failure.message else f"{failure.type}{where}"


def _details(failure: Failure) -> dict[str, Any]:
    return {
        "type": failure.type,
        "line": failure.frames[-1].line if failure.frames else None,
        "traceback": [f"line {frame.line}, in {frame.function}: {frame.text}" for frame in failure.frames],
    }
