"""Servers to call."""

from collections.abc import AsyncIterator

import pytest

from agents.egress.policy import EgressPolicy
from tests.agents.http_server import Server, http_server

LOCAL = EgressPolicy(allow=("127.0.0.1/32",))


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with http_server() as running:
        yield running


@pytest.fixture
async def other_server() -> AsyncIterator[Server]:
    async with http_server() as running:
        yield running
