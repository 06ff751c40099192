"""Runs CODE agents in a child process.

What this backend contains, where namespaces can be had (as root, or where the kernel lets users make them): no network
at all; no other process in sight or in reach; the work folder is a memory disk of limited size and stands in for the
shared temporary folders; nothing of the environment, descriptors or memory of this process; memory and processor time
of the program and all that it starts; processes, open files and file sizes; every process is gone when the run is
over. As root the program has a user id of its own, so it can read only what everyone on the host can read.

What it does not contain: files that its user id can read, `/etc` and the project's own code among them (for a worker
that is not root, all files of the worker's user); system calls (no filter yet); memory in unmapped memory files.

Where namespaces are refused, network, temporary folders and other processes are open to the code, and for a worker that
is not root its own environment and memory as well; the log of each run then says so. The full sandbox will refuse.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import orjson

from agents.code import verdict
from agents.code.config import CodeConfig, read_config
from agents.code.output import CHUNK_BYTES, OutputStream
from agents.code.process import Guest, started
from agents.context import AgentContext
from agents.errors import InputInvalid, LimitExceeded
from agents.result import AgentResult
from agents.spec import AgentSpec

WALLS = {"network": "network access", "processes": "sight of other processes", "files": "the host's temporary folders"}
PREVIEW_FROM_BYTES = 4096
PREVIEW_CHARACTERS = 1000
STATUS_BYTES = 64 * 1024


@dataclass(frozen=True, kw_only=True)
class Finished:
    """What came out of the guest's two pipes."""

    answer: bytes
    status: bytes


class CodeExecutor:
    """Holds nothing between runs; one instance serves any number of them at once."""

    async def aclose(self) -> None:
        """Nothing is kept between runs."""

    async def run(self, spec: AgentSpec, inputs: dict[str, Any], context: AgentContext) -> AgentResult:
        config = read_config(spec.config)
        job = await asyncio.to_thread(_job, config, inputs)
        seconds = _seconds(config, context)
        try:
            async with asyncio.timeout(seconds), started(config) as guest:
                finished = await _collect(guest, job, config, context)
        except TimeoutError:
            raise verdict.timed_out(seconds or 0) from None
        ending = verdict.read_ending(finished.status)
        _say_missing_walls(ending, context)
        verdict.raise_for_limit(ending, config)
        output = await asyncio.to_thread(verdict.read_result, finished.answer, ending, config)
        return AgentResult(output=output, preview=_preview(finished.answer))


def _seconds(config: CodeConfig, context: AgentContext) -> float | None:
    bounds = [bound for bound in (config.timeout_seconds, context.limits.timeout_seconds) if bound is not None]
    return min(bounds, default=None)


def _job(config: CodeConfig, inputs: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps({"code": config.code, "input": inputs})
    except TypeError as error:
        raise InputInvalid(f"the input cannot be handed to the code as JSON: {error}") from None


async def _collect(guest: Guest, job: bytes, config: CodeConfig, context: AgentContext) -> Finished:
    """Feeds and drains all pipes at once; the first one that brings too much ends the run."""
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_feed(guest, job))
            for name, level, reader in (("stdout", "INFO", guest.stdout), ("stderr", "WARN", guest.stderr)):
                stream = OutputStream(name, level, context.log, config.max_output_bytes)
                group.create_task(_log(stream, reader, config))
            answer = group.create_task(_read_answer(guest, config))
            status = group.create_task(guest.status.reader.read(STATUS_BYTES))
    except* LimitExceeded as errors:
        raise errors.exceptions[0] from None
    return Finished(answer=answer.result(), status=status.result())


async def _feed(guest: Guest, job: bytes) -> None:
    with suppress(BrokenPipeError, ConnectionResetError):  # the guest's end says why it did not read
        guest.stdin.write(job)
        await guest.stdin.drain()
    guest.stdin.close()


async def _log(stream: OutputStream, reader: asyncio.StreamReader, config: CodeConfig) -> None:
    await stream.consume(reader)
    if stream.exceeded:
        raise verdict.output_exceeded(stream.name, config.max_output_bytes, "maxOutputBytes")


async def _read_answer(guest: Guest, config: CodeConfig) -> bytes:
    answer = bytearray()
    while chunk := await guest.result.reader.read(CHUNK_BYTES):
        answer += chunk
        if len(answer) > config.max_result_bytes:
            raise verdict.output_exceeded("result", config.max_result_bytes, "maxResultBytes")
    return bytes(answer)


def _preview(answer: bytes) -> Any:
    """`answer` is the result in its JSON envelope."""
    if len(answer) <= PREVIEW_FROM_BYTES:
        return None
    excerpt = answer.partition(b'"result": ')[2][:PREVIEW_CHARACTERS]
    return {"bytes": len(answer), "excerpt": excerpt.decode(errors="ignore")}


def _say_missing_walls(ending: verdict.Ending, context: AgentContext) -> None:
    if ending.isolation is None:
        return
    missing = [text for name, text in WALLS.items() if name not in ending.isolation]
    if not {"user", "processes"} & set(ending.isolation):
        missing.append("this worker's own environment and memory")
    if missing:
        context.log("WARN", f"this machine let the code keep {', '.join(missing)}: namespaces are not available")
