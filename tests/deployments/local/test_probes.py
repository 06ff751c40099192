"""Whether a part of the stack answers."""

import asyncio
import base64
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from deployments.local.files import write_json
from deployments.local.probes import announced, answers, both, http_status


@asynccontextmanager
async def answering(reply: bytes) -> AsyncIterator[tuple[int, list[bytes]]]:
    requests: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(reply)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1], requests


@pytest.mark.parametrize(("status", "ready"), [(200, True), (204, True), (301, False), (401, False), (503, False)])
async def test_only_success_is_ready(status: int, ready: bool) -> None:
    async with answering(f"HTTP/1.1 {status} X\r\n\r\n".encode()) as (port, _):
        assert await answers(port, "/health")() is ready


async def test_credentials_are_sent_where_given() -> None:
    async with answering(b"HTTP/1.1 200 OK\r\n\r\n") as (port, requests):
        assert await http_status(port, "/api/health", auth="user:pass word") == 200
    expected = b"Authorization: Basic " + base64.b64encode(b"user:pass word")
    assert expected in requests[0]


@pytest.mark.parametrize("reply", [b"", b"nonsense\r\n", b"HTTP/1.1\r\n"])
async def test_what_is_no_http_is_no_answer(reply: bytes) -> None:
    async with answering(reply) as (port, _):
        assert await http_status(port, "/") is None


async def test_silence_is_bounded_in_time() -> None:
    over = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        await writer.wait_closed()
        over.set()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        assert await http_status(server.sockets[0].getsockname()[1], "/", seconds=0.1) is None
        await over.wait()


async def test_what_a_former_process_announced_counts_for_nothing(tmp_path: Path) -> None:
    file = tmp_path / "worker.json"
    probe = announced(file)
    assert not await probe()
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", "")
    await process.wait()
    write_json(file, {"pid": process.pid})
    assert not await probe()
    write_json(file, {"pid": os.getpid()})
    assert await probe()


@pytest.mark.parametrize(("first", "second", "content"), [(True, True, True), (True, False, False)])
async def test_both_probes_have_to_be_content(first: bool, second: bool, content: bool) -> None:
    async def says(answer: bool) -> bool:
        return answer

    assert await both(lambda: says(first), lambda: says(second))() is content
