"""The config of an API agent."""

from typing import Annotated, Any, Literal

import jmespath
from jmespath.exceptions import JMESPathError
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from agents.errors import Problem
from agents.problems import is_template, model_problems, parse_config

MIB = 1024 * 1024
MAX_EXPRESSION = 4096
LONGEST_SECONDS = 3600.0
BODY_FIELDS = ("body", "json", "form", "multipart")
BODILESS = ("GET", "HEAD")
MANAGED_HEADERS = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "keep-alive", "proxy-connection", "upgrade"}
    | {"http2-settings", "te", "trailer", "expect"}
)
TOKEN_CHARACTERS = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
RETRIED_STATUSES = frozenset({408, 425, 429}) | frozenset(range(500, 600))


class Part(BaseModel):
    """What all parts of the config have in common. Errors never quote the input: it may hold a secret."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True, hide_input_in_errors=True
    )


def _header_name(name: str) -> str:
    if not name or not set(name) <= TOKEN_CHARACTERS:
        raise ValueError("a header's name may only hold letters, digits and -_.!#$%&'*+^`|~")
    if name.lower() in MANAGED_HEADERS:
        raise ValueError(f"the header {name} is set by the platform; remove it")
    return name


def _header_value(value: str) -> str:
    if any((ord(character) < ord(" ") and character != "\t") or character == "\x7f" for character in value):
        raise ValueError("a header's value may not hold line breaks or other control characters")
    return value.strip()


def _expression(text: str) -> str:
    if is_template(text):
        return text
    if len(text) > MAX_EXPRESSION:
        raise ValueError(f"the expression is longer than {MAX_EXPRESSION} characters")
    try:
        jmespath.compile(text)
    except (JMESPathError, RecursionError) as error:
        fault = str(error).splitlines()[0].removesuffix(", for expression:")
        raise ValueError(f"this is no JMESPath expression: {fault}") from None
    return text


def _url(text: str) -> str:
    if is_template(text):
        return text
    if not text.lower().startswith(("http://", "https://")):
        raise ValueError("the URL must start with http:// or https://")
    if any(ord(character) <= ord(" ") or character == "\\" for character in text):
        raise ValueError("the URL may not hold spaces, backslashes or control characters; percent-encode them")
    return text


def _text(value: Any) -> Any:
    """Numbers and truth values are welcome where text is meant; templates fill them in as such."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else value


def _listed(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


Text = Annotated[str, BeforeValidator(_text)]
HeaderName = Annotated[str, AfterValidator(_header_name)]
HeaderValue = Annotated[Text, AfterValidator(_header_value)]
Expression = Annotated[str, AfterValidator(_expression)]
Url = Annotated[str, Field(max_length=8192), AfterValidator(_url)]
Status = Annotated[int, Field(ge=100, le=599)] | Literal["1xx", "2xx", "3xx", "4xx", "5xx"]


class BearerAuth(Part):
    """`Authorization: Bearer <token>`."""

    type: Literal["bearer"]
    token: HeaderValue


class BasicAuth(Part):
    """`Authorization: Basic <base64 of username:password>`, in UTF-8."""

    type: Literal["basic"]
    username: Text
    password: Text


class ApiKeyAuth(Part):
    """A key in a header or in the query."""

    type: Literal["apiKey"]
    name: HeaderName
    value: HeaderValue
    where: Annotated[Literal["header", "query"], Field(alias="in")] = "header"


class OAuth2Auth(Part):
    """Client credentials (RFC 6749, 4.4); the token is kept until it expires."""

    type: Literal["oauth2"]
    token_url: Url
    client_id: Text
    client_secret: Text
    scope: str | None = None
    audience: str | None = None
    credentials_in: Literal["header", "body"] = "header"


class HmacAuth(Part):
    """Signs each request; what is signed is described in `agents.api.auth`."""

    type: Literal["hmac"]
    secret: Text
    key_id: HeaderValue | None = None
    algorithm: Literal["sha256", "sha512"] = "sha256"
    signature_header: HeaderName = "X-Signature"
    timestamp_header: HeaderName = "X-Timestamp"
    key_id_header: HeaderName = "X-Key-Id"


Auth = Annotated[BearerAuth | BasicAuth | ApiKeyAuth | OAuth2Auth | HmacAuth, Field(discriminator="type")]


class Retry(Part):
    """Delays are `backoffSeconds` times 2, 4, 8 …, each shortened at random by up to a half."""

    max_attempts: Annotated[int, Field(ge=1, le=20)] = 3
    backoff_seconds: Annotated[float, Field(ge=0, le=300)] = 0.5
    max_backoff_seconds: Annotated[float, Field(ge=0, le=3600)] = 60
    """A `Retry-After` beyond this is not waited for: the answer counts as final."""
    statuses: list[Annotated[int, Field(ge=100, le=599)]] | None = None
    """Instead of 408, 425, 429 and all 5xx."""

    def covers(self, status: int) -> bool:
        return status in (RETRIED_STATUSES if self.statuses is None else self.statuses)


class LinkPagination(Part):
    """Follows `Link: <…>; rel="next"`."""

    type: Literal["link"]
    max_pages: Annotated[int, Field(ge=1, le=10_000)] = 100
    items: Expression | None = None
    """The rows of one page; without it, a page that is a list is taken whole and any other page is one row."""


class CursorPagination(Part):
    """Sends what `cursorPath` finds in one page as the query parameter `cursorParam` of the next."""

    type: Literal["cursor"]
    cursor_path: Expression
    cursor_param: str = "cursor"
    max_pages: Annotated[int, Field(ge=1, le=10_000)] = 100
    items: Expression | None = None


class PagePagination(Part):
    """Counts the query parameter `pageParam` up from `start` until a page brings no rows, or fewer than `pageSize`."""

    type: Literal["page"]
    page_param: str = "page"
    start: Annotated[int, Field(ge=0)] = 1
    size_param: str | None = None
    page_size: Annotated[int, Field(ge=1)] | None = None
    max_pages: Annotated[int, Field(ge=1, le=10_000)] = 100
    items: Expression | None = None


Pagination = Annotated[LinkPagination | CursorPagination | PagePagination, Field(discriminator="type")]


class MultipartItem(Part):
    """One part of a multipart body: text in `value`, or a file in `content` (text) or `base64`."""

    name: str
    value: Text | None = None
    filename: str | None = None
    content_type: HeaderValue | None = None
    content: str | None = None
    base64: str | None = None

    @model_validator(mode="after")
    def _has_one_content(self) -> "MultipartItem":
        if sum(item is not None for item in (self.value, self.content, self.base64)) != 1:
            raise ValueError("give exactly one of `value`, `content` and `base64`")
        return self


class ApiConfig(Part):
    """Times are in seconds, sizes in bytes."""

    method: Annotated[
        Literal["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"],
        BeforeValidator(lambda value: value.upper() if isinstance(value, str) else value),
    ] = "GET"
    url: Url
    headers: dict[HeaderName, HeaderValue] = {}
    query: dict[str, Text | list[Text] | None] = {}
    body: str | None = None
    json_body: Annotated[Any, Field(alias="json")] = None
    form: dict[str, Text | list[Text]] | None = None
    multipart: list[MultipartItem] | None = None
    auth: Auth | None = None
    timeout_seconds: Annotated[float, Field(gt=0, le=LONGEST_SECONDS)] = 30
    """Of one attempt, from connecting to the last byte; an attempt that takes longer is not repeated."""
    retry: Retry = Retry()
    pagination: Pagination | None = None
    expect_status: Annotated[list[Status], BeforeValidator(_listed), Field(min_length=1)] = ["2xx"]
    response_type: Literal["auto", "json", "text", "base64", "none"] = "auto"
    extract: Expression | None = None
    idempotent: bool | None = None
    """Whether a POST or PATCH may be sent again when the worker that sent it is lost."""
    max_response_bytes: Annotated[int, Field(ge=1, le=1024 * MIB)] = 10 * MIB
    """Of the body after decompression; of all pages together where there are several."""

    @model_validator(mode="after")
    def _body_fits_method(self) -> "ApiConfig":
        given = [name for name in BODY_FIELDS if self._has(name)]
        if len(given) > 1:
            raise ValueError(f"give only one of {', '.join(f'`{name}`' for name in given)}")
        if given and self.method in BODILESS:
            raise ValueError(f"a {self.method} request has no body; remove `{given[0]}` or change the method")
        return self

    def _has(self, name: str) -> bool:
        if name == "json":
            return "json_body" in self.model_fields_set
        return getattr(self, name) is not None

    def expects(self, status: int) -> bool:
        return status in self.expect_status or f"{status // 100}xx" in self.expect_status


def api_problems(config: dict[str, Any]) -> list[Problem]:
    """Everything wrong with the config of an API agent."""
    return model_problems(ApiConfig, config)


def read_config(config: dict[str, Any]) -> ApiConfig:
    """For a run; raises `ConfigInvalid`."""
    return parse_config(ApiConfig, config)
