"""Real conversations with an SMTP server, in the clear and with TLS."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import structlog
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from platform_api.kit.mail import MailFailed
from platform_api.kit.smtp import SmtpMailer, smtp_server

PASSWORD = "p/ss w@rd:1"
QUOTED = "p%2Fss%20w%40rd%3A1"


class Handler:
    """Keeps what arrives; answers as told."""

    def __init__(self, recipient: str = "250 OK", data: str = "250 OK") -> None:
        self.recipient, self.data = recipient, data
        self.envelopes: list[Envelope] = []
        self.tls: list[bool] = []
        self.logins: list[bytes | None] = []

    async def handle_RCPT(self, _s: SMTP, _n: Session, envelope: Envelope, address: str, _o: list[str]) -> str:  # noqa: N802
        if self.recipient.startswith("250"):
            envelope.rcpt_tos.append(address)
        return self.recipient

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        self.envelopes.append(envelope)
        self.tls.append(session.ssl is not None or server.transport.get_extra_info("ssl_object") is not None)
        return self.data

    def authenticate(self, _server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        self.logins.append(data.login)
        right = data.password == PASSWORD.encode()
        return AuthResult(success=right, handled=right)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key and certificate of 127.0.0.1 in one file; signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
    path.write_bytes(private + made.public_bytes(pem))
    return path


def server_context(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@asynccontextmanager
async def serving(handler: Handler, *, tls: ssl.SSLContext | None = None, **options: Any) -> AsyncIterator[int]:
    """An SMTP server on a free port of this event loop; gives the port."""
    loop = asyncio.get_running_loop()
    made: list[SMTP] = []

    def protocol() -> SMTP:
        made.append(SMTP(handler, loop=loop, enable_SMTPUTF8=True, **options))
        return made[-1]

    server = await loop.create_server(protocol, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for each in made:
            if each.transport is not None:
                each.transport.abort()
        await server.wait_closed()


def message(to: str = "ada@example.com") -> EmailMessage:
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = "no-reply@example.com", to, "Hello"
    made.set_content("Use tok-Secret\n")
    return made


async def send(url: str, to: str = "ada@example.com") -> None:
    await SmtpMailer(smtp_server(url)).send(message(to))


async def failure(url: str) -> MailFailed:
    with pytest.raises(MailFailed) as caught:
        await send(url)
    return caught.value


async def test_a_message_arrives_as_it_was_written() -> None:
    handler = Handler()
    async with serving(handler) as port:
        await send(f"smtp://127.0.0.1:{port}")
    envelope = handler.envelopes[0]
    assert (envelope.mail_from, envelope.rcpt_tos) == ("no-reply@example.com", ["ada@example.com"])
    assert isinstance(envelope.content, bytes)
    assert b"Use tok-Secret" in envelope.content
    assert handler.tls == [False]


async def test_starttls_is_used_where_it_is_offered(certificate: Path) -> None:
    handler = Handler()
    async with serving(handler, tls_context=server_context(certificate)) as port:
        await send(f"smtp://127.0.0.1:{port}?cafile={certificate}")
    assert handler.tls == [True]


async def test_smtps_is_tls_from_the_first_byte(certificate: Path) -> None:
    handler = Handler()
    async with serving(handler, tls=server_context(certificate)) as port:
        await send(f"smtps://127.0.0.1:{port}?cafile={certificate}")
    assert handler.tls == [True]


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
async def test_user_and_password_are_sent_inside_tls(certificate: Path, scheme: str) -> None:
    handler = Handler()
    context = server_context(certificate)
    tls: dict[str, Any] = {"tls": context} if scheme == "smtps" else {"tls_context": context}
    options = {"authenticator": handler.authenticate, "auth_require_tls": scheme == "smtp"}
    async with serving(handler, **tls, **options) as port:
        await send(f"{scheme}://user%40example.com:{QUOTED}@127.0.0.1:{port}?cafile={certificate}")
        assert handler.logins == [b"user@example.com"]
        refused = await failure(f"{scheme}://user:wrong@127.0.0.1:{port}?cafile={certificate}")
    assert refused.final
    assert "535" in str(refused)
    assert "wrong" not in str(refused)


async def test_a_password_is_never_sent_in_the_clear() -> None:
    """A server, or somebody before it, that does not offer STARTTLS gets no credentials."""
    handler = Handler()
    async with serving(handler, authenticator=handler.authenticate, auth_require_tls=False) as port:
        refused = await failure(f"smtp://user:{QUOTED}@127.0.0.1:{port}")
        assert handler.logins == []
        await send(f"smtp://user:{QUOTED}@127.0.0.1:{port}?starttls=never")
    assert PASSWORD not in str(refused)
    assert handler.logins == [b"user"]


async def test_starttls_can_be_required_without_a_password() -> None:
    handler = Handler()
    async with serving(handler) as port:
        await failure(f"smtp://127.0.0.1:{port}?starttls=required")
    assert handler.envelopes == []


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
async def test_an_unknown_authority_is_refused(certificate: Path, scheme: str) -> None:
    handler = Handler()
    context = server_context(certificate)
    tls: dict[str, Any] = {"tls": context} if scheme == "smtps" else {"tls_context": context}
    async with serving(handler, **tls) as port:
        await failure(f"{scheme}://127.0.0.1:{port}")
    assert handler.envelopes == []


@pytest.mark.parametrize(("answer", "final"), [("550 no such user tok-Secret", True), ("451 try later", False)])
async def test_what_the_server_says_decides_whether_to_try_again(answer: str, final: bool) -> None:
    for handler in (Handler(recipient=answer), Handler(data=answer)):
        async with serving(handler) as port:
            refused = await failure(f"smtp://127.0.0.1:{port}")
        assert refused.final is final
        assert answer[:3] in str(refused)
        assert "tok-Secret" not in str(refused)


async def test_a_server_that_is_not_there_may_come_back() -> None:
    async with serving(Handler()) as port:
        pass
    refused = await failure(f"smtp://127.0.0.1:{port}")
    assert not refused.final


async def test_an_address_beyond_ascii_needs_a_server_that_takes_it() -> None:
    handler = Handler()
    async with serving(handler) as port:
        await send(f"smtp://127.0.0.1:{port}", to="jürgen@example.com")
    assert handler.envelopes[0].rcpt_tos == ["jürgen@example.com"]


async def test_the_log_names_the_host_alone() -> None:
    with structlog.testing.capture_logs() as lines:
        async with serving(Handler()) as port:
            await send(f"smtp://127.0.0.1:{port}")
    assert [(line["event"], line["host"]) for line in lines] == [("mail_sent", "127.0.0.1")]
    assert "tok-Secret" not in str(lines)


@pytest.mark.parametrize(
    ("url", "check"),
    [
        ("smtp://mail.example.com", lambda s: (s.port, s.tls, s.start_tls) == (587, False, None)),
        ("smtps://mail.example.com", lambda s: (s.port, s.tls, s.start_tls) == (465, True, False)),
        ("smtp://u:p@mail.example.com:25", lambda s: (s.port, s.start_tls, s.username) == (25, True, "u")),
        ("smtp://[::1]:2525?starttls=never", lambda s: (s.host, s.start_tls) == ("::1", False)),
    ],
)
def test_a_url_says_everything(url: str, check: Callable[[Any], bool]) -> None:
    server = smtp_server(url)
    assert check(server)


def test_a_server_does_not_show_its_password() -> None:
    assert "hunter2" not in repr(smtp_server("smtp://user:hunter2@mail.example.com"))
