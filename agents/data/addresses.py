"""URLs of tables: what may be written in a config, before anything is connected to."""

import re
from typing import Annotated, Literal
from urllib.parse import parse_qsl, urlsplit

from pydantic import AfterValidator, Field, ValidationInfo

from agents.data.formats import path_fault
from agents.data.model import DataModel, is_unfilled, refuse

HTTP_SCHEMES = ("http", "https")
OBJECT_SCHEMES = ("s3", "gs", "az")
POSTGRES_SCHEMES = ("postgresql", "postgres")
SSL_MODES = ("disable", "prefer", "require")
"""Those that need no files of the worker's; a certificate is checked against none, so the name is not proven."""
URL_FORMS = "https://…, s3://bucket/key, gs://bucket/key or az://container/key"
DATABASE_FORMS = "postgresql://user:password@host:5432/name or sqlite:///file.db"
MAX_URL = 4_000

_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,221}")
_SQLITE = "sqlite:///"


def _check_url(value: str, info: ValidationInfo) -> str:
    if is_unfilled(value, info):
        return value
    fault = _url_fault(value)
    if fault is not None:
        raise refuse("BAD_URL", fault)
    return value


def _url_fault(url: str) -> str | None:
    """Never quotes the URL: it may hold a key."""
    parts = _split(url)
    if parts is None or parts.scheme not in (*HTTP_SCHEMES, *OBJECT_SCHEMES):
        return f"a URL begins with {URL_FORMS}"
    if parts.scheme in HTTP_SCHEMES:
        return None if parts.hostname else "the URL has no host"
    if not _BUCKET.fullmatch(parts.netloc):
        return f"the name of the bucket is not valid; write {parts.scheme}://bucket/key"
    key = url.partition("://")[2].partition("/")[2]
    if not key or ".." in key.split("/"):
        return 'the key of an object is not empty and has no ".."'
    return None


def _split(url: str) -> "_Parts | None":
    if len(url) > MAX_URL or any(character.isspace() or not character.isprintable() for character in url):
        return None
    try:
        parts = urlsplit(url)
        return _Parts(parts.scheme, parts.netloc, parts.hostname)
    except ValueError:
        return None


class _Parts:
    def __init__(self, scheme: str, netloc: str, hostname: str | None) -> None:
        self.scheme = scheme
        self.netloc = netloc
        self.hostname = hostname


TableUrl = Annotated[str, AfterValidator(_check_url)]


def is_object(url: str) -> bool:
    """Whether it lies in an object store."""
    return url.partition("://")[0] in OBJECT_SCHEMES


def bucket_and_key(url: str) -> tuple[str, str]:
    """Of `s3://bucket/key`; a `?` or `#` is part of the key."""
    bucket, _, key = url.partition("://")[2].partition("/")
    return bucket, key


def label_of(url: str) -> str:
    """For messages: without the query, which may hold a key."""
    return url.partition("?")[0][:200]


class Credentials(DataModel):
    """Of an object store; values come from secrets: `"secretAccessKey": "{{ secrets.s3_key }}"`.

    S3: `accessKeyId`, `secretAccessKey`, `sessionToken`. Google: `serviceAccountKey`, the JSON text of a key file.
    Azure: `accountName`, and `accountKey` or `sasToken`.
    """

    access_key_id: str | None = None
    secret_access_key: str | None = None
    session_token: str | None = None
    service_account_key: str | None = None
    account_name: str | None = None
    account_key: str | None = None
    sas_token: str | None = None


_FIELDS_OF: dict[str, frozenset[str]] = {
    "s3": frozenset({"access_key_id", "secret_access_key", "session_token"}),
    "gs": frozenset({"service_account_key"}),
    "az": frozenset({"account_name", "account_key", "sas_token"}),
}


class Located(DataModel):
    """A table behind a URL. Object stores are read without credentials where none are given, never with the worker's.

    `headers` are for HTTP, `credentials`, `region` and `endpointUrl` (another store that speaks the same protocol) for
    object stores.
    """

    url: TableUrl
    headers: dict[str, str] | None = None
    credentials: Credentials | None = None
    region: str | None = None
    endpoint_url: str | None = None

    def location_fault(self) -> str | None:
        """What does not fit the URL's scheme, in words."""
        scheme = self.url.partition("://")[0]
        if scheme in HTTP_SCHEMES:
            given = (self.credentials, self.region, self.endpoint_url)
            return None if given == (None, None, None) else "an https URL takes its credentials as headers"
        if scheme not in OBJECT_SCHEMES:
            return None
        if self.headers is not None:
            return '"headers" are for https URLs; an object store takes "credentials"'
        given_fields = self.credentials.model_fields_set if self.credentials else frozenset[str]()
        if given_fields - _FIELDS_OF[scheme]:
            return f"these credentials are not those of {scheme}://"
        if scheme == "az" and "account_name" not in given_fields:
            return 'az:// needs "credentials" with the "accountName"'
        return None


def _check_database(value: str, info: ValidationInfo) -> str:
    if is_unfilled(value, info):
        return value
    fault = _database_fault(value)
    if fault is not None:
        raise refuse("BAD_URL", fault)
    return value


def _database_fault(url: str) -> str | None:
    if url.startswith(_SQLITE):
        fault = path_fault(url.removeprefix(_SQLITE))
        return fault[1] if fault else None
    parts = _split(url)
    if parts is None or parts.scheme not in POSTGRES_SCHEMES:
        return f"a database is {DATABASE_FORMS}"
    if not parts.hostname or "," in parts.netloc or "%" in parts.hostname:
        return "a database is named by one host"
    try:
        _ = urlsplit(url).port
        options = parse_qsl(urlsplit(url).query, strict_parsing=True) if urlsplit(url).query else []
    except ValueError:
        return "the port or the query of the database's URL is broken"
    if any(name != "sslmode" or value not in SSL_MODES for name, value in options):
        return f"of a database's options only sslmode can be set, to one of {', '.join(SSL_MODES)}"
    return None


DatabaseUrl = Annotated[str, AfterValidator(_check_database)]


class Database(DataModel):
    """A database behind a URL; `password` stands beside it where it is no part of the URL (and then is not encoded)."""

    database: DatabaseUrl
    password: str | None = None
    timeout_seconds: float = Field(default=300, gt=0, le=86_400)


def sqlite_path(url: str) -> str | None:
    """The path under the data roots behind `sqlite:///path`; None for other databases."""
    return url.removeprefix(_SQLITE) if url.startswith(_SQLITE) else None


IfTableExists = Literal["append", "replace", "fail"]
