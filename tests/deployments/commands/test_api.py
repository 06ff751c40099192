"""The API process as an operator starts it: TLS, several processes, slow clients."""

import asyncio
import ipaddress
import os
import signal
import socket
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from deployments.commands import http_protocol
from platform_api.kit.asgi.messages import Receive, ScopeMap, Send

SECRETS = {
    "JWT_ACCESS_SECRET": "k3Vn8QxT1mZc7RbY5pLw9HsD2gJf4AeU",
    "JWT_REFRESH_SECRET": "9f1c4be27a605d83e1b7c2f4908d6a35",
    "ENCRYPTION_KEY": "5d0e8b1fa3c79264e7f01b3d8a52c6940b1e7fd3529c86a4f03de1a7b85c2496",
}


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1, signed by itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    alternative = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1))
        .add_extension(alternative, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = tmp_path / "cert.pem", tmp_path / "key.pem"
    cert_file.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return cert_file, key_file


@asynccontextmanager
async def started(**environment: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """`python -m deployments.commands.api`, stopped with SIGTERM."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "deployments.commands.api"),
        env={**os.environ, **SECRETS, "TURBOCAT_BCRYPT_ROUNDS": "4", **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await process.communicate()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def said(process: asyncio.subprocess.Process, text: str) -> str:
    """What the process said up to `text`."""
    assert process.stdout is not None
    heard = ""
    while text not in heard:
        line = await process.stdout.readline()
        assert line, heard
        heard += line.decode()
    return heard


async def test_two_processes_speak_https_and_warn_that_they_count_apart(
    fresh_database_url: str, certificate: tuple[Path, Path]
) -> None:
    port = free_port()
    files = {"TURBOCAT_TLS_CERT_FILE": str(certificate[0]), "TURBOCAT_TLS_KEY_FILE": str(certificate[1])}
    environment = {"DATABASE_URL": fresh_database_url, "PORT": str(port), "TURBOCAT_API_PROCESSES": "2", **files}
    trusted = ssl.create_default_context(cafile=str(certificate[0]))
    async with started(**environment) as process:
        heard = await said(process, "Application startup complete")
        patient = httpx.AsyncHTTPTransport(verify=trusted, retries=5)  # it says so a moment before it listens
        async with httpx.AsyncClient(transport=patient, base_url=f"https://127.0.0.1:{port}") as client:
            answer = await client.get("/api/v1/users/me")
    assert "rate_limits_per_process" in heard
    assert answer.status_code == 401
    assert answer.headers["Strict-Transport-Security"].startswith("max-age=")
    assert "server" not in answer.headers


async def _app(scope: ScopeMap, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


@asynccontextmanager
async def served() -> AsyncIterator[int]:
    """A port on which our protocol serves an application that answers at once."""
    config = uvicorn.Config(_app, http=http_protocol.HttpProtocol, lifespan="off", log_config=None, port=0)
    server = uvicorn.Server(config)
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen()
    running = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        yield listening.getsockname()[1]
    finally:
        server.should_exit = True
        await running


COMPLETE = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.case(25)
@pytest.mark.parametrize("before", [b"", COMPLETE])
@pytest.mark.parametrize("sent", [b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ", b"\r\n"])
async def test_headers_that_never_end_end_the_connection(
    monkeypatch: pytest.MonkeyPatch, before: bytes, sent: bytes
) -> None:
    monkeypatch.setattr(http_protocol, "HEADER_SECONDS", 0.2)
    async with served() as port, asyncio.timeout(4):  # uvicorn itself would wait for 5 s, or without end
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            if before:
                writer.write(before)
                await reader.readuntil(b"\r\n\r\n")
            writer.write(sent)
            assert await reader.read() == b""
        finally:
            writer.close()


async def test_a_connection_that_says_nothing_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "HEADER_SECONDS", 0.2)
    async with served() as port, asyncio.timeout(4):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await reader.read() == b""
        writer.close()


async def test_requests_in_time_share_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "HEADER_SECONDS", 0.2)
    async with served() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(2):
            writer.write(COMPLETE)
            assert await reader.readuntil(b"\r\n\r\n")
            await asyncio.sleep(0.3)  # longer than headers may take, shorter than a connection may rest
        writer.close()
        await writer.wait_closed()
