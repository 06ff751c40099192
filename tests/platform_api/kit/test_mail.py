"""Mail into files, and in the background: never lost silently, never told to the log, never waited for."""

import asyncio
import stat
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
import structlog

from platform_api.kit.background import Background
from platform_api.kit.links import Links
from platform_api.kit.mail import FileMailer, Mail, MailFailed, Post, one_line
from platform_api.kit.mailers import mailer_for
from platform_api.kit.smtp import SmtpMailer
from platform_api.settings import MailSettings

SENDER = "no-reply@example.com"
SECRET = "tok-Secret-0123456789"


def mail(**fields: str) -> Mail:
    return Mail(**{"to": "ada@example.com", "subject": "Hello", "text": f"Use {SECRET}\n", **fields})


class Mailer:
    """Fails as told, then takes everything."""

    def __init__(self, *failures: MailFailed) -> None:
        self.failures = list(failures)
        self.taken: list[EmailMessage] = []
        self.attempts = 0

    async def send(self, message: EmailMessage) -> None:
        self.attempts += 1
        if self.failures:
            raise self.failures.pop(0)
        self.taken.append(message)


async def sent(mailer: Any, *mails: Mail, pauses: tuple[float, ...] = (0.0, 0.0, 0.0)) -> None:
    background = Background()
    post = Post(mailer, background, sender=SENDER, pauses=pauses)
    for each in mails:
        await post.post(each)
    await background.idle()


def contents(folder: Path) -> list[bytes]:
    return [file.read_bytes() for file in sorted(folder.glob("*.eml"))]


def stored(folder: Path) -> list[EmailMessage]:
    return [message_from_bytes(raw, policy=policy.default) for raw in contents(folder)]


class TestFiles:
    async def test_a_message_is_one_file_that_others_cannot_read(self, tmp_path: Path) -> None:
        folder = tmp_path / "data" / "mail"
        await sent(FileMailer(folder), mail(), mail(to="bob@example.com"))
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        files = sorted(folder.iterdir())
        assert [stat.S_IMODE(file.stat().st_mode) for file in files] == [0o600, 0o600]
        assert {file.suffix for file in files} == {".eml"}
        messages = stored(folder)
        assert {str(message["To"]) for message in messages} == {"ada@example.com", "bob@example.com"}
        for message in messages:
            assert message["From"] == f"Turbocat <{SENDER}>"
            assert message["Auto-Submitted"] == "auto-generated"
            assert message["Date"] is not None
            assert message["Message-ID"].endswith("@example.com>")
            assert SECRET in message.get_content()

    async def test_the_log_says_where_it_lies_and_nothing_of_it(self, tmp_path: Path) -> None:
        with structlog.testing.capture_logs() as lines:
            await sent(FileMailer(tmp_path), mail())
        stored = next(line for line in lines if line["event"] == "mail_stored")
        assert Path(stored["path"]).parent == tmp_path
        assert SECRET not in str(lines)
        assert "ada@example.com" not in str(lines)

    async def test_a_folder_that_cannot_be_written_is_told_once(self, tmp_path: Path) -> None:
        (tmp_path / "mail").write_text("in the way")
        with structlog.testing.capture_logs() as lines:
            await sent(FileMailer(tmp_path / "mail"), mail())
        failed = [line for line in lines if line["event"] == "mail_failed"]
        assert [line["final"] for line in failed] == [True]
        assert SECRET not in str(lines)

    async def test_letters_of_the_whole_world_arrive(self, tmp_path: Path) -> None:
        await sent(FileMailer(tmp_path), mail(to="jürgen@bücher.example", subject="Grüße 🐈", text="Ünïcode 🐈\n"))
        raw = contents(tmp_path)[0]
        assert "To: jürgen@bücher.example\r\nSubject: Grüße 🐈\r\n".encode() in raw
        assert stored(tmp_path)[0].get_content().split() == ["Ünïcode", "🐈"]


class TestPost:
    @pytest.mark.case(22)
    async def test_a_subject_cannot_bring_a_header(self) -> None:
        """Case 22: header injection by newline."""
        mailer = Mailer()
        await sent(mailer, mail(subject="Hello\r\nBcc: eve@example.com\x00\u202e"))
        assert mailer.taken[0]["Bcc"] is None
        assert mailer.taken[0]["Subject"] == "Hello Bcc: eve@example.com"

    async def test_an_address_cannot_bring_a_header(self) -> None:
        mailer = Mailer()
        with structlog.testing.capture_logs() as lines:
            await sent(mailer, mail(to="ada@example.com\r\nBcc: eve@example.com"))
        assert mailer.taken == []
        assert [line["event"] for line in lines] == ["background_failed"]

    async def test_what_may_help_is_tried_again(self) -> None:
        mailer = Mailer(MailFailed("busy", final=False), MailFailed("busy", final=False))
        await sent(mailer, mail())
        assert len(mailer.taken) == 1

    async def test_after_the_last_attempt_it_is_given_up_and_told(self) -> None:
        mailer = Mailer(*[MailFailed("busy", final=False)] * 9)
        with structlog.testing.capture_logs() as lines:
            await sent(mailer, mail())
        assert mailer.attempts == 3
        assert [line["final"] for line in lines] == [False, False, True]

    async def test_what_cannot_help_is_not_tried_again(self) -> None:
        mailer = Mailer(MailFailed("no such user", final=True))
        await sent(mailer, mail())
        assert mailer.attempts == 1
        assert mailer.taken == []

    async def test_posting_does_not_wait(self) -> None:
        gate = asyncio.Event()

        class Slow(Mailer):
            async def send(self, message: EmailMessage) -> None:
                await gate.wait()
                await super().send(message)

        background, mailer = Background(), Slow()
        post = Post(mailer, background, sender=SENDER)
        await asyncio.wait_for(post.post(mail()), timeout=5)
        assert mailer.taken == []
        gate.set()
        await background.idle()
        assert len(mailer.taken) == 1

    def test_a_mail_does_not_show_its_text(self) -> None:
        assert SECRET not in repr(mail())


class TestBackground:
    async def test_what_fails_is_logged_and_harms_nothing_else(self) -> None:
        done = []

        async def fails() -> None:
            raise ValueError("broken")

        async def works() -> None:
            done.append(True)

        background = Background()
        with structlog.testing.capture_logs() as lines:
            background.start(fails())
            background.start(works())
            await background.idle()
        assert done == [True]
        assert [line["event"] for line in lines] == ["background_failed"]

    async def test_more_than_it_holds_is_refused_and_told(self) -> None:
        gate = asyncio.Event()
        background = Background(capacity=2)

        async def waits() -> None:
            await gate.wait()

        with structlog.testing.capture_logs() as lines:
            for _ in range(3):
                background.start(waits())
        assert [line["event"] for line in lines] == ["background_full"]
        gate.set()
        await background.idle()

    async def test_the_end_waits_a_little_and_no_longer(self) -> None:
        background = Background()
        ended = []

        async def endless() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                ended.append(True)

        background.start(endless())
        await asyncio.sleep(0)
        with structlog.testing.capture_logs() as lines:
            await background.aclose(within_seconds=0.01)
        assert ended == [True]
        assert lines[0]["unfinished"] == 1


@pytest.mark.parametrize(
    ("base", "expected"),
    [
        ("https://app.example.com/", "https://app.example.com/reset-password?token=a%2Bb"),
        ("https://example.com/app", "https://example.com/app/reset-password?token=a%2Bb"),
        (None, "POST /api/v1/auth/reset-password"),
    ],
)
def test_a_link_leads_to_the_front_end_or_says_what_to_send(base: str | None, expected: str) -> None:
    text = Links(base).paragraph("reset-password", "a+b")
    assert expected in text
    assert "a+b" in text or "a%2Bb" in text


@pytest.mark.parametrize(
    ("text", "shown"),
    [("  a \n\r\t b\x00c ", "a b c"), ("x" * 200, "x" * 99 + "…"), ("a\u202eb", "a b"), ("", "")],
)
def test_what_others_wrote_becomes_one_line(text: str, shown: str) -> None:
    assert one_line(text) == shown


def test_the_settings_say_which_way_mail_goes(tmp_path: Path) -> None:
    assert isinstance(mailer_for(MailSettings(), tmp_path), FileMailer)
    assert isinstance(mailer_for(MailSettings(smtp_url="smtp://localhost"), tmp_path), SmtpMailer)
