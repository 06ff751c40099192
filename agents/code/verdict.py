"""From what the guest reported to a result or a typed error. User code may have written the report: it is checked."""

import json
import signal
from collections.abc import Mapping
from typing import Any, NoReturn

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from agents.code.config import CodeConfig
from agents.errors import AgentError, AgentTimeout, CodeFailed, LimitExceeded, OutputInvalid

CPU_SIGNALS = (signal.SIGXCPU,)


class Frame(BaseModel):
    """One line of the user's traceback."""

    line: int
    function: str = Field(max_length=200)
    text: str = Field(max_length=400)


class Failure(BaseModel):
    """What `guest.program` writes when there is no result."""

    failure: str
    type: str = Field(max_length=500)
    message: str = Field(max_length=8000)
    frames: list[Frame] = Field(max_length=64)


class Ending(BaseModel):
    """What `guest.supervisor` reports."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    end: str = "signalled"
    code: int = int(signal.SIGKILL)
    isolation: tuple[str, ...] | None = None
    cpu_seconds: float = 0
    peak_memory: int = 0
    message: str = ""


def read_ending(status: bytes) -> Ending:
    """The supervisor's report; without one it was killed itself."""
    try:
        return Ending.model_validate_json(status)
    except ValidationError:
        return Ending()


def raise_for_limit(ending: Ending, config: CodeConfig) -> None:
    """Raises when the supervisor or the kernel stopped the program."""
    if ending.end == "memory":
        raise memory_exceeded(config)
    spent = ending.cpu_seconds >= config.cpu_seconds - 1 and ending.code == signal.SIGKILL
    if ending.end == "cpu" or (ending.end == "signalled" and (ending.code in CPU_SIGNALS or spent)):
        message = f"the code used more than {config.cpu_seconds:g} s of processor time; raise `cpuSeconds` or do less"
        raise LimitExceeded(message, code="CPU_LIMIT", details={"cpuSeconds": config.cpu_seconds})
    if ending.end == "setup":
        raise AgentError(f"the sandbox could not be set up: {ending.message}", code="SANDBOX_FAILED")


def memory_exceeded(config: CodeConfig) -> LimitExceeded:
    message = f"the code used more than {config.memory_mb} MiB of memory; raise `memoryMb` or keep less at once"
    return LimitExceeded(message, code="MEMORY_LIMIT", details={"memoryMb": config.memory_mb})


def output_exceeded(what: str, limit: int, field: str) -> LimitExceeded:
    message = f"the code's {what} is larger than {limit} bytes; raise `{field}` or write less"
    return LimitExceeded(message, code="OUTPUT_LIMIT", details={"limitBytes": limit, "what": what})


def timed_out(seconds: float) -> AgentTimeout:
    message = f"the code ran longer than {seconds:g} s and was stopped; raise `timeoutSeconds` or do less"
    return AgentTimeout(message, details={"timeoutSeconds": seconds})


def read_result(answer: bytes, ending: Ending, config: CodeConfig) -> Any:
    """The value that `main` returned; raises what explains why there is none."""
    if not answer:
        raise CodeFailed(_end_without_answer(ending), details={"end": ending.end, "code": ending.code})
    message = _decoded(answer)
    if message.get("ok") is not True:
        _raise_failure(message, config)
    return message.get("result")


def _end_without_answer(ending: Ending) -> str:
    if ending.end == "exited":
        return f"the code ended its process (exit code {ending.code}) without a result; return it from `main`"
    return f"the code was killed by signal {_signal_name(ending.code)} before it gave a result"


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
    if failure.failure == "memory":
        raise memory_exceeded(config)
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
