"""Which way mail goes, by the settings."""

from pathlib import Path

import structlog

from platform_api.kit.mail import FileMailer, Mailer
from platform_api.kit.smtp import SmtpMailer, smtp_server
from platform_api.settings import MailSettings

FOLDER = "mail"
"""Inside the data folder."""

log = structlog.get_logger(__name__)


def mailer_for(settings: MailSettings, data_dir: Path) -> Mailer:
    """By SMTP when `SMTP_URL` is set, into files otherwise; says which."""
    if settings.smtp_url is not None:
        return SmtpMailer(smtp_server(settings.smtp_url.get_secret_value()))
    folder = data_dir / FOLDER
    log.info("mail_into_files", folder=str(folder), hint="SMTP_URL names a server that sends it")
    return FileMailer(folder)
