"""Agents that may call this machine, and servers there: S3, PostgreSQL."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import httpx
import pytest

from agents.context import AgentContext
from agents.data.executor import DataExecutor
from agents.egress.policy import EgressPolicy
from agents.result import AgentResult
from agents.spec import AgentSpec, AgentType
from tests.agents.conftest import LOCAL

RunRemote = Callable[..., Awaitable[AgentResult]]


@pytest.fixture
async def run_remote(context: AgentContext) -> AsyncIterator[RunRemote]:
    """`await run_remote(config, egress=…, **inputs)`; connections to this machine are allowed unless the test says."""
    executor = DataExecutor()

    async def run_agent(config: dict[str, Any], egress: EgressPolicy = LOCAL, **inputs: Any) -> AgentResult:
        spec = AgentSpec(id="agent", version=1, name="agent", type=AgentType.DATA, config=config)
        return await executor.run(spec, inputs, replace(context, egress=egress))

    yield run_agent
    await executor.aclose()


@pytest.fixture
def bucket(s3_server: str) -> str:
    """The name of an empty bucket."""
    name = f"tables-{uuid4().hex}"
    assert httpx.put(f"{s3_server}/{name}").status_code == 200
    return name


@pytest.fixture
async def postgres_url(empty_database_url: str) -> AsyncIterator[str]:
    """The URL of an empty database on a TCP port; the tests' server itself listens on a socket in its folder alone."""
    parts = urlsplit(empty_database_url)
    socket = f"{parse_qs(parts.query)['host'][0]}/.s.PGSQL.5432"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, to_there = await asyncio.open_unix_connection(socket)
        with contextlib.suppress(OSError):
            await asyncio.gather(_relay(reader, to_there), _relay(there, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    yield f"postgresql://{parts.username}@127.0.0.1:{port}/{parts.path.removeprefix('/')}"
    server.close()


async def _relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while part := await reader.read(65536):
        writer.write(part)
        await writer.drain()
    writer.close()
