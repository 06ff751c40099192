"""Reads an answer's body, bounded while it comes in, and turns it into JSON data."""

import base64
import codecs
from typing import Any, Literal

import httpx2
import orjson

from agents.egress.compression import expander_of
from agents.errors import LimitExceeded, OutputInvalid

LENGTH_DIGITS = 20
OVERHEAD = 1024
"""Beside one in a hundred: what compression may add to a body that cannot be compressed."""
CHARSETS = frozenset(
    {"utf-8", "utf-8-sig", "utf-16", "utf-32", "ascii", "iso8859-1", "iso8859-2", "iso8859-15", "cp1250", "cp1251"}
    | {"cp1252", "koi8-r", "shift_jis", "euc_jp", "gb2312", "gbk", "gb18030", "big5", "euc_kr"}
)
"""As Python names them. Others count as UTF-8: some of its codecs take quadratic time on hostile input."""
TEXT_TYPES = ("application/xml", "application/javascript", "application/x-www-form-urlencoded", "application/x-ndjson")
ResponseType = Literal["auto", "json", "text", "base64", "none"]


async def read_bounded(response: httpx2.Response, limit: int) -> bytes:
    """The decompressed body. Raises `LimitExceeded` before more than `limit` bytes are held, however small they were
    on the wire, or when more than that came over the wire, and `OutputInvalid` for a compression that was not asked
    for."""
    most = limit + limit // 100 + OVERHEAD
    announced = response.headers.get("content-length", "")
    if announced.isascii() and announced.isdigit() and int(announced[:LENGTH_DIGITS]) > most:
        raise too_large(limit)
    expander = expander_of(response.headers)
    body = bytearray()
    received = 0
    async for part in response.aiter_raw():
        received += len(part)
        body += await expander.expand(part, limit - len(body) + 1)
        if len(body) > limit or received > most:
            raise too_large(limit)
    expander.finish()
    return bytes(body)


def too_large(limit: int) -> LimitExceeded:
    message = f"the answer is larger than {limit} bytes; raise `maxResponseBytes` or ask for less"
    return LimitExceeded(message, code="RESPONSE_TOO_LARGE", path="maxResponseBytes", details={"limitBytes": limit})


def decode(body: bytes, headers: httpx2.Headers, response_type: ResponseType) -> Any:
    """None for no body; base64 text for what is neither JSON nor text."""
    if not body or response_type == "none":
        return None
    media_type, _, parameters = headers.get("content-type", "").partition(";")
    kind = _guessed(media_type.strip().lower()) if response_type == "auto" else response_type
    if kind == "json":
        return _json(body)
    if kind == "text":
        return body.decode(_charset(parameters), errors="replace")
    return base64.b64encode(body).decode()


def _guessed(media_type: str) -> ResponseType:
    if media_type.endswith(("/json", "+json")):
        return "json"
    if media_type.startswith("text/") or media_type.endswith("+xml") or media_type in TEXT_TYPES:
        return "text"
    return "base64"


def _json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise OutputInvalid(f"the answer is no JSON: {error}; set `responseType` to text or base64") from None


def _charset(parameters: str) -> str:
    for parameter in parameters.split(";"):
        name, _, value = parameter.strip().partition("=")
        if name.lower() == "charset":
            return _known_charset(value.strip("\"' "))
    return "utf-8"


def _known_charset(name: str) -> str:
    try:
        found = codecs.lookup(name).name
    except (LookupError, ValueError):
        return "utf-8"
    return found if found in CHARSETS else "utf-8"
