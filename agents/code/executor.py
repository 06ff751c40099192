"""Runs CODE agents: hands them to a sandbox, and makes a result or a typed error of what comes back."""

import asyncio
import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from agents.code import verdict
from agents.code.backend import Language, Limits, Network, Outcome, Program, SandboxBackend, SandboxUnavailable
from agents.code.backends import selection
from agents.code.config import MIB, CodeConfig, read_config
from agents.code.datasets import Handed, taken_in
from agents.code.leftovers import WORK_FOLDERS
from agents.code.network import ProgramNetwork
from agents.code.output import OutputStreams
from agents.code.selection import Selection
from agents.context import AgentContext
from agents.egress.guard import Guard
from agents.egress.hosts import AllowedHosts
from agents.errors import EgressRefused, InputInvalid
from agents.result import AgentResult
from agents.spec import AgentSpec

PREVIEW_FROM_BYTES = 4096
PREVIEW_CHARACTERS = 1000
NO_HOSTS = (
    "the tenant lets no program reach anything: its OWNER or an ADMIN can list hosts under `codeEgress` in its "
    "settings (`PATCH /api/v1/tenants/current`)"
)
UNSAFE = "this program ran without a sandbox (CODE_SANDBOX=unsafe-local): it could do what this worker's user can"


class CodeExecutor:
    """Serves any number of runs at once. Which sandbox it uses is found out with the first."""

    def __init__(self, sandbox: Selection | None = None) -> None:
        self._sandbox = sandbox or selection()

    async def aclose(self) -> None:
        """Ends what the sandbox keeps between runs."""
        await self._sandbox.aclose()

    async def run(self, spec: AgentSpec, inputs: dict[str, Any], context: AgentContext) -> AgentResult:
        config = read_config(spec.config)
        limits = _limits(config, context)
        backend = await self._sandbox.backend()
        context.tell_sandbox(backend.name)
        if not backend.safe:
            context.log("WARN", UNSAFE, sandbox=backend.name)
        network = await _network(config, backend, context)
        with tempfile.TemporaryDirectory(prefix=f"{WORK_FOLDERS}{os.getpid()}-") as folder:
            program = await asyncio.to_thread(_program, config, inputs, context, Path(folder))
            program = replace(program, network=network)
            outcome = await _run(backend, program, limits, context)
            verdict.raise_for_limit(outcome, config, limits)
            output = await asyncio.to_thread(verdict.read_result, outcome, config)
            output = await taken_in(output, Path(folder), outcome.files, context.datasets)
        return AgentResult(output=output, preview=_preview(outcome.answer))


def _limits(config: CodeConfig, context: AgentContext) -> Limits:
    bounds = [bound for bound in (config.timeout_seconds, context.limits.timeout_seconds) if bound is not None]
    return Limits(
        memory_bytes=config.memory_mb * MIB,
        disk_bytes=config.disk_mb * MIB,
        cpu_seconds=config.cpu_seconds,
        wall_seconds=min(bounds, default=None),
        processes=config.max_processes,
        output_bytes=config.max_output_bytes,
        result_bytes=config.max_result_bytes,
    )


def _program(config: CodeConfig, inputs: dict[str, Any], context: AgentContext, folder: Path) -> Program:
    handed = Handed(context.datasets)
    program = Program(
        language=Language(config.language),
        code=config.code,
        input=handed.with_paths(inputs),
        datasets=handed.files,
        collect=folder,
        prewarmed=config.startup == "prewarmed",
    )
    try:
        program.job()
    except TypeError as error:
        raise InputInvalid(f"the input cannot be handed to the code as JSON: {error}") from None
    return program


async def _network(config: CodeConfig, backend: SandboxBackend, context: AgentContext) -> Network | None:
    """None for a program that asks for none, and where there are no walls to let it through."""
    if not config.network or not backend.safe:
        return None
    tenant = await context.code_egress()
    if not tenant:
        raise EgressRefused(NO_HOSTS, path="network")
    if not backend.networks:
        raise SandboxUnavailable(
            f"programs with a `network` cannot be run here: the sandbox `{backend.name}` gives them none",
            hint="`namespace` does; see `turbocat doctor`",
        )
    return ProgramNetwork(Guard(context.egress), AllowedHosts(agent=config.network, tenant=tenant), context.log)


async def _run(backend: SandboxBackend, program: Program, limits: Limits, context: AgentContext) -> Outcome:
    streams = OutputStreams(context.log, limits.output_bytes)
    try:
        return await backend.run(program, limits, streams)
    finally:
        streams.close()


def _preview(answer: bytes) -> Any:
    """`answer` is the result in its JSON envelope."""
    if len(answer) <= PREVIEW_FROM_BYTES:
        return None
    excerpt = answer.partition(b'"result":')[2].lstrip()[:PREVIEW_CHARACTERS]
    return {"bytes": len(answer), "excerpt": excerpt.decode(errors="ignore")}
