"""An HTTP/2 server under two names, and a transport that trusts it."""

import ssl
from collections.abc import AsyncIterator

import pytest

from agents.egress.transport import GuardedTransport
from tests.agents.certificates import certificate
from tests.agents.conftest import LOCAL
from tests.agents.http2_server import Http2Server, http2_server

Contexts = tuple[ssl.SSLContext, ssl.SSLContext]
ADDRESSES = {"a.example": "127.0.0.1", "b.example": "127.0.0.1", "inner.example": "10.0.0.1"}


async def resolver(host: str, port: int) -> list[str]:
    """Two names are the server's; the third is none that may be reached."""
    return [ADDRESSES[host]]


@pytest.fixture(scope="session")
def http2_tls(tmp_path_factory: pytest.TempPathFactory) -> Contexts:
    return certificate(tmp_path_factory.mktemp("tls"), *ADDRESSES)


@pytest.fixture
async def http2(http2_tls: Contexts) -> AsyncIterator[Http2Server]:
    async with http2_server(http2_tls[0]) as running:
        yield running


@pytest.fixture
async def transport(http2_tls: Contexts) -> AsyncIterator[GuardedTransport]:
    async with GuardedTransport(LOCAL, resolver=resolver, tls=http2_tls[1]) as made:
        yield made
