"""From config to the first request."""

import base64
import binascii
from typing import Any

import httpx2
import orjson

from agents.api.config import BODILESS, ApiConfig, MultipartItem
from agents.egress.outgoing import Outgoing, parse_url
from agents.errors import ConfigInvalid

IDEMPOTENCY_HEADER = "X-Idempotency-Key"
DEFAULT_HEADERS = {"accept": "*/*", "user-agent": "turbocat", "accept-encoding": "gzip, deflate"}
OUR_HEADERS = ("accept-encoding",)


def first_request(config: ApiConfig, idempotency_key: str) -> Outgoing:
    """Without credentials. Raises `ConfigInvalid` for a URL or body that only showed itself when it was filled in."""
    content, content_type = _content(config)
    headers = httpx2.Headers(DEFAULT_HEADERS)
    if content_type:
        headers["content-type"] = content_type
    if config.method not in BODILESS:
        headers[IDEMPOTENCY_HEADER] = idempotency_key
    given = [item for item in config.headers.items() if item[0].lower() not in OUR_HEADERS]
    headers.update([(name.encode(), value.encode()) for name, value in given])
    return Outgoing(method=config.method, url=_url(config), headers=headers, content=content)


def for_page(outgoing: Outgoing, first: Outgoing, page: int) -> Outgoing:
    """A later page is another request, so it must not be taken for a repetition of the first."""
    key = first.headers.get(IDEMPOTENCY_HEADER)
    if key is None or IDEMPOTENCY_HEADER not in outgoing.headers:
        return outgoing
    return outgoing.with_headers({IDEMPOTENCY_HEADER: f"{key}-page-{page}"})


def _url(config: ApiConfig) -> httpx2.URL:
    url = parse_url(config.url)
    added = {name: value for name, value in config.query.items() if value is not None}
    return url.copy_merge_params(added) if added else url


def _content(config: ApiConfig) -> tuple[bytes, str | None]:
    if config.body is not None:
        return config.body.encode(), "text/plain; charset=utf-8"
    if "json_body" in config.model_fields_set:
        return _json(config.json_body), "application/json"
    if config.form is not None:
        return _encoded(data=config.form)
    if config.multipart is not None:
        return _encoded(files=[_file(item, index) for index, item in enumerate(config.multipart)])
    return b"", None


def _json(value: Any) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError as error:
        raise ConfigInvalid(f"json cannot be sent: {error}", path="json") from None


def _encoded(**fields: Any) -> tuple[bytes, str | None]:
    """httpx2 builds the body, so that its forms and boundaries are those of any other client."""
    request = httpx2.Request("POST", "http://body.invalid", **fields)
    return request.read(), request.headers.get("content-type")


def _file(item: MultipartItem, index: int) -> tuple[str, tuple[str | None, bytes, str | None]]:
    if item.value is not None:
        return item.name, (item.filename, item.value.encode(), item.content_type)
    filename = item.filename or item.name
    if item.content is not None:
        return item.name, (filename, item.content.encode(), item.content_type)
    try:
        return item.name, (filename, base64.b64decode(item.base64 or "", validate=True), item.content_type)
    except (binascii.Error, ValueError):
        raise ConfigInvalid("this is no base64", path=f"multipart[{index}].base64") from None
