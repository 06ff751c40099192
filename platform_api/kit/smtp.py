"""Sends mail by SMTP, to the server that `SMTP_URL` names.

`smtps://` is TLS from the first byte. `smtp://` begins in the clear and goes over to TLS with STARTTLS where the server
can; with credentials in the URL it must, so that nobody in between can take the offer away and read them.
"""

from dataclasses import dataclass
from email.message import EmailMessage
from urllib.parse import parse_qsl, unquote, urlsplit

import aiosmtplib
import structlog

from platform_api.kit.mail import MailFailed

TIMEOUT_SECONDS = 20.0
"""For each step of the conversation."""

_PORTS = {"smtp": 587, "smtps": 465}
_PERMANENT = range(500, 600)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class SmtpServer:
    """Where mail goes. `start_tls`: True must, False must not, None may."""

    host: str
    port: int
    tls: bool
    start_tls: bool | None
    username: str | None
    password: str | None
    ca_file: str | None

    def __repr__(self) -> str:
        return f"SmtpServer(host={self.host!r}, port={self.port})"


def smtp_server(url: str) -> SmtpServer:
    """Reads `smtp[s]://[user:password@]host[:port][?starttls=required|never][&cafile=PATH]`, which the settings have
    checked."""
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query))
    tls = parts.scheme == "smtps"
    return SmtpServer(
        host=parts.hostname or "",
        port=_PORTS[parts.scheme] if parts.port is None else parts.port,
        tls=tls,
        start_tls=_start_tls(options.get("starttls"), tls=tls, credentials=parts.username is not None),
        username=None if parts.username is None else unquote(parts.username),
        password=None if parts.password is None else unquote(parts.password),
        ca_file=options.get("cafile"),
    )


def _start_tls(wanted: str | None, *, tls: bool, credentials: bool) -> bool | None:
    if tls:
        return False
    if wanted is not None:
        return wanted == "required"
    return True if credentials else None


class SmtpMailer:
    """One conversation per message."""

    def __init__(self, server: SmtpServer) -> None:
        self._server = server

    async def send(self, message: EmailMessage) -> None:
        """Hands a message over; raises `MailFailed`."""
        server = self._server
        try:
            await aiosmtplib.send(
                message,
                hostname=server.host,
                port=server.port,
                username=server.username,
                password=server.password,
                use_tls=server.tls,
                start_tls=server.start_tls,
                cert_bundle=server.ca_file,
                timeout=TIMEOUT_SECONDS,
            )
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            raise _failure(server, error) from error
        log.info("mail_sent", host=server.host, subject=str(message["Subject"]))


def _failure(server: SmtpServer, error: Exception) -> MailFailed:
    """Names the kind and the code alone: a server's own words may repeat what it was sent."""
    refusals = error.recipients if isinstance(error, aiosmtplib.SMTPRecipientsRefused) else [error]
    codes = [each.code for each in refusals if isinstance(each, aiosmtplib.SMTPResponseException)]
    shown = f" ({', '.join(map(str, codes))})" if codes else ""
    final = isinstance(error, ValueError) or (bool(codes) and all(code in _PERMANENT for code in codes))
    return MailFailed(f"{server.host}:{server.port} did not take the mail: {type(error).__name__}{shown}", final=final)
