"""Structured logs: readable on the console, JSON in a rotated file, the request id in every line.

Bodies, tokens and passwords are never logged; a field whose name sounds like one is blanked all the same.
"""

import logging
import re
import sys
from contextlib import suppress
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from platform_api.kit.request_context import current_request_id
from platform_api.settings import LogSettings

FILE_BYTES = 10 * 1024 * 1024
FILES_KEPT = 5
_SECRET = re.compile(
    r"password|passphrase|secret|token|authorization|cookie|(api|private)[_-]?key|credential", re.IGNORECASE
)
_AMOUNT = re.compile(r"(max|prompt|completion)_?tokens", re.IGNORECASE)
"""Tokens that a model reads and writes: numbers, and worth telling."""

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]|\n")
_OURS = "turbocat"
_TELLTALES = ("httpx", "httpcore", "hpack")
"""They log every URL at INFO, and a URL may hold a key."""


def configure_logging(settings: LogSettings, *, application: str) -> None:
    """Sets up this process's logs; `application` names the file (`api.log`). Calling it again replaces the set-up."""
    structlog.configure(
        processors=[*_shared(), structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    handlers = [_console()]
    if settings.folder is not None:
        handlers.append(_file(settings.folder, application))
    root = logging.getLogger()
    for handler in [each for each in root.handlers if each.get_name() == _OURS]:
        root.removeHandler(handler)
        with suppress(OSError):  # its disk may be full
            handler.close()
    for handler in handlers:
        handler.set_name(_OURS)
        root.addHandler(handler)
    root.setLevel(settings.level)
    for name in _TELLTALES:
        logging.getLogger(name).setLevel(logging.WARNING)


def _shared() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.stdlib.ExtraAdder(),
        add_request_id,
        blank_secrets,
        structlog.processors.format_exc_info,
    ]


class _Console(logging.StreamHandler[TextIO]):
    """Writes to what `sys.stderr` is at that moment, which test runners and supervisors replace."""

    @property
    def stream(self) -> TextIO:
        return sys.stderr

    @stream.setter
    def stream(self, _: TextIO) -> None:
        """The base class sets it once; there is nothing to keep."""


def _console() -> logging.Handler:
    handler = _Console()
    handler.setFormatter(_formatter(escape_controls, structlog.dev.ConsoleRenderer(colors=False)))
    return handler


def _file(folder: Path, application: str) -> logging.Handler:
    folder.mkdir(parents=True, exist_ok=True)
    handler = RotatingFileHandler(
        folder / f"{application}.log", maxBytes=FILE_BYTES, backupCount=FILES_KEPT, encoding="utf-8"
    )
    handler.setFormatter(_formatter(structlog.processors.JSONRenderer()))
    return handler


def _formatter(*last: Processor) -> logging.Formatter:
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_shared(),
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
    )


def add_request_id(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Adds `request_id` inside a request."""
    request_id = current_request_id()
    if request_id is not None:
        event.setdefault("request_id", request_id)
    return event


def blank_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Replaces every value whose name sounds like a secret, at any depth."""
    return {key: _blanked(key, value) for key, value in event.items()}


def escape_controls(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Makes control characters visible, so that no value can forge a line or colour a terminal."""
    return {
        key: _CONTROL.sub(_escaped, value) if isinstance(value, str) and key != "exception" else value
        for key, value in event.items()
    }


def is_secret_name(name: str) -> bool:
    """Whether a field of this name is blanked in logs and audit entries."""
    return _SECRET.search(name) is not None and _AMOUNT.fullmatch(name) is None


def _blanked(key: str, value: Any) -> Any:
    if is_secret_name(key):
        return "***"
    if isinstance(value, dict):
        return {str(inner): _blanked(str(inner), each) for inner, each in value.items()}
    return value


def _escaped(match: re.Match[str]) -> str:
    return match.group().encode("unicode_escape").decode()
