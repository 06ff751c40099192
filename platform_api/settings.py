# long: every variable in one place, which its page, its check of all problems and its one reader follow
"""The only place that reads the environment: typed groups, each field with its unit, default and one line of meaning.

`load_settings()` stops with one `SettingsInvalid` that lists every variable that is missing or wrong.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TypeVar
from urllib.parse import SplitResult, parse_qs, urlsplit

from pydantic import BaseModel, Field, IPvAnyNetwork, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from agents.code.docker.place import IMAGE, URL, EnginePlace
from agents.code.selection import SandboxChoice
from agents.egress.allowlist import entry_problems
from platform_api.weak_settings import equal_secrets, guessable_secrets, plain_origins, weak_password, weak_rounds

_ORIGIN = re.compile(r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?|https?://\[[0-9A-Fa-f:]+\](:[0-9]{1,5})?")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_KEY = re.compile(r"[0-9a-fA-F]{64}")


class SettingsInvalid(Exception):
    """The environment does not make a working configuration; the message names every variable concerned."""


class Environment(StrEnum):
    """Where the process runs; production refuses weak settings."""

    DEVELOPMENT = "development"
    TEST = "test"
    PRODUCTION = "production"


class _Group(BaseSettings):
    model_config = SettingsConfigDict(
        env_file=None, extra="ignore", populate_by_name=True, frozen=True, hide_input_in_errors=True
    )


G = TypeVar("G", bound=_Group)


class DatabaseSettings(_Group):
    """PostgreSQL."""

    url: SecretStr = Field(alias="DATABASE_URL", description="PostgreSQL URL of the owner role")
    pool_size: int = Field(10, alias="TURBOCAT_DB_POOL_SIZE", ge=1, description="connections kept open per process")
    pool_overflow: int = Field(10, alias="TURBOCAT_DB_POOL_OVERFLOW", ge=0, description="extra connections under load")
    connect_timeout_seconds: int = Field(
        5, alias="TURBOCAT_DB_CONNECT_TIMEOUT_SECONDS", ge=1, description="seconds to wait for a new connection"
    )
    statement_timeout_seconds: int = Field(
        30, alias="TURBOCAT_DB_STATEMENT_TIMEOUT_SECONDS", ge=1, description="seconds that one statement may take"
    )

    @field_validator("url")
    @classmethod
    def _is_postgres(cls, value: SecretStr) -> SecretStr:
        parts = urlsplit(value.get_secret_value())
        if parts.scheme.partition("+")[0] not in ("postgresql", "postgres"):
            raise ValueError("must begin with postgresql://")
        if not parts.hostname and "host" not in parse_qs(parts.query):
            raise ValueError("must name a host, or the folder of a socket as ?host=")
        return value


class PrefectSettings(_Group):
    """The Prefect server."""

    api_url: str = Field(
        "http://127.0.0.1:4200/api", alias="PREFECT_API_URL", description="base URL of the Prefect API"
    )
    ui_url: str | None = Field(
        None,
        alias="TURBOCAT_PREFECT_UI_URL",
        description="base URL of the Prefect UI for links; from the API URL if unset",
    )
    auth_string: SecretStr | None = Field(
        None, alias="PREFECT_API_AUTH_STRING", description="`user:password` of the Prefect API, when it has one"
    )
    timeout_seconds: float = Field(
        5.0,
        alias="TURBOCAT_PREFECT_TIMEOUT_SECONDS",
        gt=0,
        description="seconds to wait for an answer of the Prefect API",
    )


class AuthSettings(_Group):
    """Tokens and passwords."""

    access_secret: SecretStr = Field(
        alias="JWT_ACCESS_SECRET", min_length=32, description="signs access tokens; at least 32 characters"
    )
    refresh_secret: SecretStr = Field(
        alias="JWT_REFRESH_SECRET",
        min_length=32,
        description="signs refresh tokens; at least 32 characters, another one",
    )
    encryption_key: SecretStr = Field(
        alias="ENCRYPTION_KEY", description="64 hexadecimal characters; encrypts secrets at rest"
    )
    encryption_keys_old: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        (),
        alias="ENCRYPTION_KEYS_OLD",
        description="former encryption keys, comma-separated, that still open what they encrypted",
    )
    access_secrets_old: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        (),
        alias="JWT_ACCESS_SECRETS_OLD",
        description="former secrets of access tokens, comma-separated; they sign nothing any more and still verify",
    )
    refresh_secrets_old: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        (),
        alias="JWT_REFRESH_SECRETS_OLD",
        description="former secrets of refresh tokens, comma-separated; they sign nothing any more and still verify",
    )
    access_minutes: int = Field(
        15, alias="TURBOCAT_ACCESS_TOKEN_MINUTES", ge=1, description="minutes an access token lives"
    )
    refresh_days: int = Field(7, alias="TURBOCAT_REFRESH_TOKEN_DAYS", ge=1, description="days a refresh token lives")
    bcrypt_rounds: int = Field(12, alias="TURBOCAT_BCRYPT_ROUNDS", ge=4, le=16, description="cost of a password hash")
    admin_email: str = Field(
        "admin@turbocat.localhost", alias="TURBOCAT_ADMIN_EMAIL", description="address of the seeded administrator"
    )
    admin_password: SecretStr | None = Field(
        None, alias="TURBOCAT_ADMIN_PASSWORD", description="password of the seeded administrator; generated when unset"
    )

    @field_validator("encryption_keys_old", "access_secrets_old", "refresh_secrets_old", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return _comma_separated(value)

    @field_validator("encryption_key")
    @classmethod
    def _is_hex(cls, value: SecretStr) -> SecretStr:
        if not _KEY.fullmatch(value.get_secret_value()):
            raise ValueError("must be 64 hexadecimal characters (`openssl rand -hex 32` makes one)")
        return value

    @field_validator("encryption_keys_old")
    @classmethod
    def _are_hex(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if not all(_KEY.fullmatch(each.get_secret_value()) for each in value):
            raise ValueError("must be keys of 64 hexadecimal characters, separated by commas")
        return value

    @field_validator("access_secrets_old", "refresh_secrets_old")
    @classmethod
    def _are_long(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if any(len(each.get_secret_value()) < 32 for each in value):
            raise ValueError("must be secrets of at least 32 characters, separated by commas")
        return value


class ApiSettings(_Group):
    """The HTTP server."""

    host: str = Field("127.0.0.1", alias="TURBOCAT_API_HOST", description="address that the API listens on")
    port: int = Field(
        3001, alias="PORT", ge=0, le=65_535, description="port that the API listens on; 0 takes a free one"
    )
    frontend_url: Annotated[tuple[str, ...], NoDecode] = Field(
        (), alias="FRONTEND_URL", description="origins that browsers may call from, comma-separated"
    )
    body_limit_bytes: int = Field(
        1_048_576, alias="TURBOCAT_BODY_LIMIT_BYTES", ge=1024, description="bytes of a request body"
    )
    inputs_limit_bytes: int = Field(
        10_485_760,
        alias="TURBOCAT_INPUTS_LIMIT_BYTES",
        ge=1024,
        description="bytes of a request body that carries a run's inputs",
    )
    body_timeout_seconds: float = Field(
        30.0, alias="TURBOCAT_BODY_TIMEOUT_SECONDS", gt=0, description="seconds in which a request body must arrive"
    )
    processes: int = Field(
        1, alias="TURBOCAT_API_PROCESSES", ge=1, le=64, description="processes of `turbocat api` on its one port"
    )
    force_https: bool = Field(
        False, alias="FORCE_HTTPS", description="whether plain HTTP is redirected or refused (probes excepted)"
    )
    tls_cert_file: Path | None = Field(
        None, alias="TURBOCAT_TLS_CERT_FILE", description="PEM certificate chain; with it `turbocat api` speaks HTTPS"
    )
    tls_key_file: Path | None = Field(
        None, alias="TURBOCAT_TLS_KEY_FILE", description="PEM private key of the certificate"
    )
    tls_key_password: SecretStr | None = Field(
        None, alias="TURBOCAT_TLS_KEY_PASSWORD", description="password of the private key, when it has one"
    )
    metrics_token: SecretStr | None = Field(
        None,
        alias="TURBOCAT_METRICS_TOKEN",
        min_length=16,
        description="bearer token that `/metrics` asks for; without it only this machine may read them",
    )
    trusted_proxies: Annotated[tuple[IPvAnyNetwork, ...], NoDecode] = Field(
        (),
        alias="TRUSTED_PROXIES",
        description="networks of the proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed, "
        "comma-separated (`10.0.0.0/8`)",
    )

    @field_validator("frontend_url", "trusted_proxies", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return _comma_separated(value)

    @model_validator(mode="after")
    def _has_both_files(self) -> "ApiSettings":
        if (self.tls_cert_file is None) != (self.tls_key_file is None):
            raise ValueError("TURBOCAT_TLS_CERT_FILE and TURBOCAT_TLS_KEY_FILE: set both or neither")
        return self

    @field_validator("frontend_url")
    @classmethod
    def _are_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        origins = tuple(each.rstrip("/") for each in value)
        if not all(_ORIGIN.fullmatch(each) for each in origins):
            raise ValueError("must be origins without path or wildcard (https://app.example.com)")
        return origins


class StreamSettings(_Group):
    """Event streams of the API."""

    heartbeat_seconds: float = Field(
        15.0,
        alias="TURBOCAT_STREAM_HEARTBEAT_SECONDS",
        gt=0,
        le=300,
        description="seconds between heartbeats of an event stream, at which its caller's rights are looked at again; "
        "a client that takes nothing for two of them is left",
    )
    seconds: float = Field(
        3600.0,
        alias="TURBOCAT_STREAM_SECONDS",
        gt=0,
        description="seconds after which an event stream is ended, for its client to take it up again",
    )
    limit: int = Field(
        1000, alias="TURBOCAT_STREAM_LIMIT", ge=1, description="event streams that one API process keeps open at once"
    )


class LimitSettings(_Group):
    """How many calls are taken; 0 means no limit."""

    redis_url: SecretStr | None = Field(
        None,
        alias="REDIS_URL",
        description="redis:// or rediss:// URL where processes count together; in memory when unset",
    )
    auth_per_minute: int = Field(
        60, alias="TURBOCAT_RATE_LIMIT_AUTH_PER_MINUTE", ge=0, description="calls a minute of one address below `/auth`"
    )
    bad_credentials_per_minute: int = Field(
        60,
        alias="TURBOCAT_RATE_LIMIT_BAD_CREDENTIALS_PER_MINUTE",
        ge=0,
        description="unusable tokens and keys a minute from one address, after which it has to wait",
    )
    user_per_minute: int = Field(
        3000, alias="TURBOCAT_RATE_LIMIT_USER_PER_MINUTE", ge=0, description="calls a minute of one user with tokens"
    )
    key_per_minute: int = Field(
        3000,
        alias="TURBOCAT_RATE_LIMIT_KEY_PER_MINUTE",
        ge=0,
        description="calls a minute of a key; a limit of its own counts where it is lower",
    )

    @field_validator("redis_url")
    @classmethod
    def _is_redis(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and urlsplit(value.get_secret_value()).scheme not in ("redis", "rediss"):
            raise ValueError("must begin with redis:// or rediss://")
        return value


class MailSettings(_Group):
    """Mail."""

    smtp_url: SecretStr | None = Field(
        None,
        alias="SMTP_URL",
        description="server that sends mail, `smtp[s]://user:password@host:port`; STARTTLS is used where offered and "
        "needed with a password (`?starttls=required` or `never`), `&cafile=` names its authority; "
        "`.eml` files in `<data folder>/mail` when unset",
    )
    sender: str = Field(
        "no-reply@turbocat.localhost",
        alias="MAIL_FROM",
        pattern=r"^[^@\s<>]+@[^@\s<>]+$",
        description="address that mail comes from",
    )
    link_base_url: str | None = Field(
        None,
        alias="TURBOCAT_LINK_BASE_URL",
        pattern=r"^https?://[^\s?#]+$",
        description="front end that links in mail lead to; the first origin of FRONTEND_URL when unset",
    )

    @field_validator("smtp_url")
    @classmethod
    def _is_smtp(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None:
            return None
        parts = urlsplit(value.get_secret_value())
        options = parse_qs(parts.query, keep_blank_values=True)
        if parts.scheme not in ("smtp", "smtps") or not parts.hostname or not _has_port_or_none(parts):
            raise ValueError("must be smtp://host or smtps://host, with user and password percent-encoded")
        if (parts.username is None) != (parts.password is None):
            raise ValueError("must have both user and password, or neither")
        if options.keys() - {"starttls", "cafile"} or options.get("starttls") not in (None, ["required"], ["never"]):
            raise ValueError("takes the options starttls=required, starttls=never and cafile=PATH")
        return value


class RunSettings(_Group):
    """Workers and what runs in them."""

    max_concurrent: int = Field(
        100, alias="MAX_CONCURRENT_EXECUTIONS", ge=1, description="executions that one worker runs at once"
    )
    tenant_concurrent: int = Field(
        80,
        alias="TURBOCAT_TENANT_CONCURRENT_EXECUTIONS",
        ge=1,
        description="executions of one tenant that run at once; lower than what all workers hold together leaves room "
        "for other tenants",
    )
    tenant_queue: int = Field(
        40,
        alias="TURBOCAT_TENANT_QUEUE",
        ge=1,
        description="executions of one tenant that stand in Prefect's queues at once; the rest waits for its turn",
    )
    tenant_starts_per_minute: int = Field(
        600, alias="TURBOCAT_TENANT_STARTS_PER_MINUTE", ge=1, description="executions of one tenant started in a minute"
    )
    processes: int = Field(
        0,
        alias="TURBOCAT_WORKER_PROCESSES",
        ge=0,
        description="warm processes of a worker, half of them from its start on; 0 means two per core",
    )
    poll_seconds: float = Field(
        5.0,
        alias="TURBOCAT_WORKER_POLL_SECONDS",
        gt=0,
        description="seconds between polls when no event wakes the worker; doubled in a pool at rest",
    )
    agent_test_seconds: float = Field(
        60.0,
        alias="TURBOCAT_AGENT_TEST_SECONDS",
        gt=0,
        le=600,
        description="seconds that the test of an agent without a time limit of its own may take, and that a request "
        "waits for any test before it answers 202",
    )
    code_sandbox: SandboxChoice = Field(
        SandboxChoice.AUTO,
        alias="CODE_SANDBOX",
        description="sandbox of CODE agents: `auto` takes the strongest that holds, `namespace`, `docker` and "
        "`landlock` only that one, `unsafe-local` none at all; where it does not work CODE agents are refused",
    )
    code_docker_url: str = Field(
        URL,
        alias="CODE_DOCKER_URL",
        description="Docker or Podman engine that CODE agents run in, where that sandbox is used",
    )
    code_docker_image: str = Field(
        IMAGE,
        alias="CODE_DOCKER_IMAGE",
        description="image for CODE agents on that engine; made by `docker build -t turbocat-code "
        "deployments/docker/code`, never pulled",
    )
    egress_allow: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        alias="EGRESS_ALLOW",
        description="hosts and networks that outgoing calls may reach beside public ones, comma-separated: names "
        "(`ollama.internal`), addresses and networks (`10.20.0.0/16`); no schemes, ports or wildcards",
    )
    data_roots: Annotated[tuple[Path, ...], NoDecode] = Field(
        (), alias="DATA_ROOTS", description="folders that data agents of all tenants may read, comma-separated"
    )
    result_store_url: str = Field(
        "",
        alias="RESULT_STORE_URL",
        description="where large results lie: a folder, or `s3://bucket/prefix`; `<data folder>/results` when unset",
    )
    result_cache_bytes: int = Field(
        10_737_418_240,
        alias="TURBOCAT_RESULT_CACHE_BYTES",
        ge=0,
        description="bytes of results in S3 that a machine keeps in `<data folder>/result-cache`; what was used in the "
        "last hour stays in any case",
    )
    s3_endpoint_url: str | None = Field(
        None,
        alias="TURBOCAT_S3_ENDPOINT_URL",
        pattern=r"^https?://[^\s?#@]+$",
        description="server that speaks S3; Amazon's when unset",
    )
    s3_region: str = Field("us-east-1", alias="TURBOCAT_S3_REGION", description="region of the bucket")
    s3_access_key_id: SecretStr | None = Field(
        None, alias="TURBOCAT_S3_ACCESS_KEY_ID", description="key of the bucket; the machine's own role when unset"
    )
    s3_secret_access_key: SecretStr | None = Field(
        None, alias="TURBOCAT_S3_SECRET_ACCESS_KEY", description="secret that belongs to the key"
    )

    @field_validator("result_store_url")
    @classmethod
    def _is_a_store(cls, value: str) -> str:
        parts = urlsplit(value)
        if "://" in value and (parts.scheme != "s3" or not _BUCKET.fullmatch(parts.netloc)):
            raise ValueError("must be a folder or s3://bucket/prefix; credentials have settings of their own")
        return value

    @field_validator("egress_allow")
    @classmethod
    def _are_hosts_or_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if problems := entry_problems(value):
            raise ValueError("; ".join(problems))
        return value

    @property
    def code_engine(self) -> EnginePlace:
        """Where containers for CODE agents are to be had."""
        return EnginePlace(image=self.code_docker_image, url=self.code_docker_url)

    @model_validator(mode="after")
    def _has_whole_credentials(self) -> "RunSettings":
        if (self.s3_access_key_id is None) != (self.s3_secret_access_key is None):
            raise ValueError("TURBOCAT_S3_ACCESS_KEY_ID and TURBOCAT_S3_SECRET_ACCESS_KEY: set both or neither")
        return self

    @field_validator("egress_allow", "data_roots", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return _comma_separated(value)


class LogSettings(_Group):
    """Logs."""

    level: str = Field(
        "INFO", alias="LOG_LEVEL", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="least level logged"
    )
    folder: Path | None = Field(
        None, alias="TURBOCAT_LOG_DIR", description="folder of rotated log files; none when unset"
    )


class Settings(BaseModel):
    """Every setting of the platform, in groups."""

    environment: Environment
    data_dir: Path
    database: DatabaseSettings
    prefect: PrefectSettings
    auth: AuthSettings
    api: ApiSettings
    streams: StreamSettings = Field(default_factory=StreamSettings)
    limits: LimitSettings = Field(default_factory=LimitSettings)
    mail: MailSettings = Field(default_factory=MailSettings)
    runs: RunSettings
    logs: LogSettings


class _Root(_Group):
    environment: Environment = Field(
        Environment.DEVELOPMENT, alias="ENVIRONMENT", description="development, test or production"
    )
    data_dir: Path = Field(
        Path(".turbocat"),
        alias="TURBOCAT_DATA_DIR",
        description="folder of everything that the one-command stack keeps",
    )


GROUPS: dict[str, type[_Group]] = {
    "database": DatabaseSettings,
    "prefect": PrefectSettings,
    "auth": AuthSettings,
    "api": ApiSettings,
    "streams": StreamSettings,
    "limits": LimitSettings,
    "mail": MailSettings,
    "runs": RunSettings,
    "logs": LogSettings,
}


def load_settings() -> Settings:
    """Reads the environment once. Raises `SettingsInvalid` with one line per variable that is missing or wrong."""
    problems: list[str] = []
    groups: dict[str, Any] = {}
    root = _load(_Root, problems)
    for name, group in GROUPS.items():
        groups[name] = _load(group, problems)
    if groups["auth"] is not None:
        problems += equal_secrets(_secrets(groups["auth"]))
    if root is not None and root.environment is Environment.PRODUCTION:
        problems += _weaknesses(groups)
    if problems or root is None:
        raise SettingsInvalid("\n".join(problems))
    return Settings(environment=root.environment, data_dir=root.data_dir, **groups)


def load_run_settings() -> RunSettings:
    """Those of runs alone, whatever is wrong with others. Raises `SettingsInvalid`."""
    problems: list[str] = []
    runs = _load(RunSettings, problems)
    if runs is None:
        raise SettingsInvalid("\n".join(problems))
    return runs


def _secrets(auth: AuthSettings) -> dict[str, str]:
    """Variable → value, of every secret of ours that is set; `[1]` and so on are former ones."""
    found = {
        "JWT_ACCESS_SECRET": auth.access_secret,
        "JWT_REFRESH_SECRET": auth.refresh_secret,
        "ENCRYPTION_KEY": auth.encryption_key,
    }
    for name, former in (
        ("JWT_ACCESS_SECRETS_OLD", auth.access_secrets_old),
        ("JWT_REFRESH_SECRETS_OLD", auth.refresh_secrets_old),
        ("ENCRYPTION_KEYS_OLD", auth.encryption_keys_old),
    ):
        found.update({f"{name}[{place}]": secret for place, secret in enumerate(former, 1)})
    return {name: secret.get_secret_value() for name, secret in found.items()}


def _weaknesses(groups: Mapping[str, Any]) -> list[str]:
    """What only production refuses, of the groups that could be read."""
    problems = []
    auth, api, database = groups["auth"], groups["api"], groups["database"]
    if auth is not None:
        problems += guessable_secrets(_secrets(auth)) + weak_rounds("TURBOCAT_BCRYPT_ROUNDS", auth.bcrypt_rounds)
    if api is not None:
        problems += plain_origins("FRONTEND_URL", api.frontend_url)
        problems += guessable_secrets(_given("TURBOCAT_METRICS_TOKEN", api.metrics_token))
    if database is not None:
        problems += weak_password("DATABASE_URL", urlsplit(database.url.get_secret_value()).password)
    if groups["prefect"] is not None and groups["prefect"].auth_string is not None:
        password = groups["prefect"].auth_string.get_secret_value().partition(":")[2]
        problems += weak_password("PREFECT_API_AUTH_STRING", password)
    return problems


def _given(name: str, secret: SecretStr | None) -> dict[str, str]:
    return {} if secret is None else {name: secret.get_secret_value()}


def described() -> dict[str, tuple[str, Any]]:
    """Every variable with its line of meaning and its default (for `.env.example`, docs and `turbocat doctor`)."""
    rows: dict[str, tuple[str, Any]] = {}
    groups: list[type[_Group]] = [_Root, *GROUPS.values()]
    for group in groups:
        for field in group.model_fields.values():
            rows[str(field.alias)] = (field.description or "", None if field.is_required() else field.default)
    return rows


def _load(group: type[G], problems: list[str]) -> G | None:
    try:
        return group()
    except ValidationError as error:
        for item in error.errors(include_input=False, include_url=False):
            name = ".".join(str(part) for part in item["loc"])
            message = "is not set" if item["type"] == "missing" else item["msg"].removeprefix("Value error, ")
            problems.append(f"{name}: {message}" if name else message)
        return None


def _has_port_or_none(parts: SplitResult) -> bool:
    try:
        return parts.port is None or parts.port > 0
    except ValueError:
        return False  # the exception's own text repeats the URL


def _comma_separated(value: Any) -> Any:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value
