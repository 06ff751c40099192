"""The config of a CODE agent."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

from agents.code.syntax import MAX_CODE_BYTES, node_problems, source_problems
from agents.egress.hosts import ANY, entry_problem
from agents.errors import Problem
from agents.problems import is_template, model_problems, parse_config

MIB = 1024 * 1024
NODE_NAMES = ("javascript", "js", "nodejs", "typescript")


def _host(entry: str) -> str:
    if (problem := entry_problem(entry)) is not None:
        raise ValueError(problem)
    return entry


def _hosts(network: object) -> object:
    return ((ANY,) if network else ()) if isinstance(network, bool) else network


class CodeConfig(BaseModel):
    """Sizes ending in `Mb` are in MiB, `…Bytes` in bytes, `…Seconds` in seconds of wall or processor time."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True, hide_input_in_errors=True
    )

    language: Literal["python", "node"]
    code: Annotated[str, Field(min_length=1)]
    memory_mb: Annotated[int, Field(ge=32, le=16 * 1024)] = 256
    """Of the program and everything that it starts, together."""
    cpu_seconds: Annotated[float, Field(gt=0, le=24 * 3600)] = 60
    timeout_seconds: Annotated[float, Field(gt=0, le=24 * 3600)] | None = None
    """Wall time; the agent's own limits apply as well, the tighter wins."""
    max_output_bytes: Annotated[int, Field(ge=0, le=64 * MIB)] = MIB
    """Of each of standard output and standard error; a program that prints more is stopped."""
    max_result_bytes: Annotated[int, Field(ge=1, le=256 * MIB)] = 16 * MIB
    disk_mb: Annotated[int, Field(ge=1, le=4096)] = 64
    """Of the work folder, and of any one file."""
    max_processes: Annotated[int, Field(ge=1, le=512)] = 64
    """Processes and threads alive at once."""
    startup: Literal["fresh", "prewarmed"] = "fresh"
    """`prewarmed`: numpy and Polars are loaded already, which saves their import; Python alone has it."""
    network: Annotated[tuple[Annotated[str, AfterValidator(_host)], ...], BeforeValidator(_hosts)] = ()
    """The hosts that the program may reach where the tenant lets programs reach them; `true` for all of those."""
    idempotent: bool | None = None
    """Whether a program with a network may be run again when the worker that ran it is lost."""


def code_problems(config: dict[str, Any]) -> list[Problem]:
    """Everything wrong with the config of a CODE agent, the code itself included."""
    if config.get("language") in NODE_NAMES:
        message = f"language {config['language']!r} is called 'node' here, and takes JavaScript"
        return [Problem(path="language", code="BAD_CONFIG", message=message)]
    problems = model_problems(CodeConfig, config)
    if any(problem.path == "code" for problem in problems):
        return problems
    return [*problems, *_code_problems(config["code"], config.get("language"))]


def read_config(config: dict[str, Any]) -> CodeConfig:
    """For a run; raises `ConfigInvalid`. The code was checked when it was saved and is compiled by the guest."""
    return parse_config(CodeConfig, config)


def _code_problems(code: str, language: object) -> list[Problem]:
    if len(code.encode(errors="replace")) > MAX_CODE_BYTES:
        message = f"the code is larger than {MAX_CODE_BYTES // 1024} KiB; move data into the input"
        return [Problem(path="code", code="BAD_CONFIG", message=message)]
    problems = node_problems(code) if language == "node" else source_problems(code)
    return [] if is_template(code) else problems
