"""Mail: what a message is, where it goes, and that no request ever waits for it.

By default nothing is sent: messages lie as `.eml` files in the data folder and the log says where. The log never says
what is in them, because a message may carry a token.
"""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import format_datetime, make_msgid
from pathlib import Path
from typing import Protocol

import structlog

from platform_api.kit import clock
from platform_api.kit.background import Background
from platform_api.kit.ids import new_id

RETRY_SECONDS = (0.0, 2.0, 15.0, 60.0)
"""Pauses before each attempt to send one message."""

AT_ONCE = 4
"""Messages that are being handed over at the same time."""

log = structlog.get_logger(__name__)


class MailFailed(Exception):
    """A message could not be handed over. `final` means that trying again would not help."""

    def __init__(self, message: str, *, final: bool) -> None:
        super().__init__(message)
        self.final = final


@dataclass(frozen=True, kw_only=True)
class Mail:
    """A message of plain text to one person; `repr` does not show the text."""

    to: str
    subject: str
    text: str

    def __repr__(self) -> str:
        return f"Mail(subject={self.subject!r})"


class Mailer(Protocol):
    """Hands one message over; raises `MailFailed`."""

    async def send(self, message: EmailMessage) -> None: ...


class FileMailer:
    """Puts messages into a folder that only this user reads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def send(self, message: EmailMessage) -> None:
        """Writes one file; raises `MailFailed`."""
        try:
            path = await asyncio.to_thread(self._write, message)
        except OSError as error:
            raise MailFailed(f"The mail cannot be written to {self._folder}: {error.strerror}", final=True) from error
        log.info("mail_stored", path=str(path), subject=str(message["Subject"]))

    def _write(self, message: EmailMessage) -> Path:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._folder / f"{clock.now():%Y%m%dT%H%M%SZ}-{new_id()}.eml"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(message.as_bytes())
        return path


class Post:
    """Takes messages from requests and delivers them afterwards, trying again where that may help."""

    def __init__(
        self, mailer: Mailer, background: Background, *, sender: str, pauses: Sequence[float] = RETRY_SECONDS
    ) -> None:
        self._mailer = mailer
        self._background = background
        self._sender = sender
        self._pauses = tuple(pauses)
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def post(self, mail: Mail) -> None:
        """Takes the message and returns at once; for `scope.after_commit`."""
        self._background.start(self._deliver(mail))

    async def _deliver(self, mail: Mail) -> None:
        message = _message(mail, self._sender)
        for attempt, pause in enumerate(self._pauses, start=1):
            await asyncio.sleep(pause)
            try:
                async with self._turns:
                    await self._mailer.send(message)
            except MailFailed as failure:
                final = failure.final or attempt == len(self._pauses)
                log.warning("mail_failed", subject=mail.subject, attempt=attempt, final=final, reason=str(failure))
                if final:
                    return
            else:
                return


def _message(mail: Mail, sender: str) -> EmailMessage:
    message = EmailMessage(policy=SMTP if (mail.to + sender).isascii() else SMTPUTF8)
    message["From"] = Address("Turbocat", addr_spec=sender)
    message["To"] = mail.to
    if [each.addr_spec for each in message["To"].addresses] != [mail.to]:
        raise ValueError("a mail goes to exactly one address")
    message["Subject"] = one_line(mail.subject)
    message["Date"] = format_datetime(clock.now())
    message["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2])
    message["Auto-Submitted"] = "auto-generated"  # so that no out-of-office note answers it
    message.set_content(mail.text)
    return message


def one_line(text: str, *, longest: int = 100) -> str:
    """A text of somebody else's as it may stand in a message: no line breaks or controls, not too long."""
    shown = " ".join("".join(each if each.isprintable() else " " for each in text).split())
    return shown if len(shown) <= longest else f"{shown[: longest - 1]}…"
