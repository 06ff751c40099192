"""What a failed exchange is called towards whoever wrote the URL: what happened, and what they might change."""

import ssl
from collections.abc import Iterator

import httpcore2

_BY_KIND: tuple[tuple[type[Exception], str], ...] = (
    (httpcore2.ConnectTimeout, "nobody answered the attempt to connect; check host and port"),
    (httpcore2.ReadTimeout, "nothing came for too long"),
    (httpcore2.WriteTimeout, "nothing was taken for too long"),
    (httpcore2.ReadError, "the connection broke while reading"),
    (httpcore2.WriteError, "the connection broke while sending"),
)
"""What httpcore2 says nothing about, or only the name of its exception."""
_BY_TEXT = (
    ("illegal status line", "what answers there does not speak HTTP; check scheme and port"),
    ("receive buffer too long", "the headers of the answer are too long"),
    ("server disconnected without sending", "the server closed the connection without an answer"),
)


def described(error: Exception) -> str:
    """In one sentence, of an exception of httpcore2."""
    text = str(error)
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not accepted: {cause.verify_message}"
        if isinstance(cause, ssl.SSLError) and isinstance(error, httpcore2.ConnectError):
            return f"no agreement on TLS ({_plain(cause.reason)}); check that it is https that is spoken there"
        if isinstance(cause, ConnectionRefusedError):
            return "the connection was refused; check host and port, and that the service runs"
    for part, meaning in _BY_TEXT:
        if part in text.lower():
            return meaning
    if isinstance(error, httpcore2.ProtocolError):
        return f"the answer breaks the protocol: {text or type(error).__name__}"
    said = next((meaning for kind, meaning in _BY_KIND if isinstance(error, kind)), type(error).__name__)
    return text or said


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The exception and what led to it, which httpcore2's pool has cut off but for its context."""
    waiting: list[BaseException | None] = [error]
    while waiting:
        cause = waiting.pop()
        if cause is None:
            continue
        yield cause
        waiting += [
            cause.__cause__ or cause.__context__,
            *(cause.exceptions if isinstance(cause, BaseExceptionGroup) else ()),
        ]


def _plain(reason: str | None) -> str:
    return (reason or "handshake failed").replace("_", " ").lower()
