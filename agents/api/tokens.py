"""OAuth2 client credentials: fetches access tokens and keeps them until they expire."""

import asyncio
import hashlib
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass, replace
from urllib.parse import quote_plus, urlencode

import httpx2
import orjson

from agents.api.auth import basic
from agents.api.config import LONGEST_SECONDS, OAuth2Auth
from agents.api.exchange import Exchange
from agents.api.request import DEFAULT_HEADERS
from agents.egress.outgoing import Outgoing, parse_url
from agents.egress.policy import EgressPolicy
from agents.errors import AgentError, AgentTimeout, HttpStatusFailed

EARLY_SECONDS = 30.0
DEFAULT_LIFETIME = 60.0
MAX_KEPT = 1000
MAX_ANSWER_BYTES = 256 * 1024
_PATH = "auth.tokenUrl"


@dataclass(frozen=True, kw_only=True)
class Token:
    """`until` is on the monotonic clock."""

    value: str
    until: float


@dataclass(kw_only=True)
class _Fetch:
    """One that is under way; it is given up when nobody waits for it any more."""

    task: asyncio.Task[Token]
    waiting: int = 0


_Fetches = weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, _Fetch]]


class TokenStore:
    """Tokens by everything that decides what a token may do: the tenant, and the client's secret included.

    Runs that need the same token at once share one fetch. A fetch that fails fails for all of them, and is forgotten.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._tokens: dict[str, Token] = {}
        self._fetches: _Fetches = weakref.WeakKeyDictionary()

    async def get(self, policy: EgressPolicy, auth: OAuth2Auth, exchange: Exchange) -> str:
        """A token that is good for a little while yet. Raises `HttpStatusFailed` when none is given out, and what
        `Exchange.attempt` raises."""
        key = _key(policy, auth)
        kept = self._tokens.get(key)
        if kept is not None and kept.until > self._clock():
            return kept.value
        try:
            async with asyncio.timeout(exchange.timeout):
                return (await self._fetched(key, auth, exchange)).value
        except TimeoutError:
            message = f"no token came within {exchange.timeout:g} s; check `auth.tokenUrl` or raise `timeoutSeconds`"
            details = {"timeoutSeconds": exchange.timeout, "stage": "fetching a token"}
            raise AgentTimeout(message, path=_PATH, details=details) from None

    def forget(self, policy: EgressPolicy, auth: OAuth2Auth, refused: str) -> None:
        """After a 401, since a server may withdraw tokens early. One that another run has fetched since then stays."""
        key = _key(policy, auth)
        kept = self._tokens.get(key)
        if kept is not None and kept.value == refused:
            del self._tokens[key]

    async def _fetched(self, key: str, auth: OAuth2Auth, exchange: Exchange) -> Token:
        """By one fetch of all who ask at once. It has the time of whoever waits longest, not of who came first."""
        fetches = self._fetches.setdefault(asyncio.get_running_loop(), {})
        fetch = fetches.get(key)
        if fetch is None:
            patient = replace(exchange, timeout=LONGEST_SECONDS)
            fetch = fetches[key] = _Fetch(task=asyncio.ensure_future(self._fetch(key, auth, patient)))
        fetch.waiting += 1
        try:
            return await asyncio.shield(fetch.task)
        finally:
            fetch.waiting -= 1
            if fetches.get(key) is fetch and (fetch.task.done() or not fetch.waiting):
                del fetches[key]
                fetch.task.cancel()

    async def _fetch(self, key: str, auth: OAuth2Auth, exchange: Exchange) -> Token:
        try:
            answer = await exchange.attempt(_token_request(auth), MAX_ANSWER_BYTES)
        except AgentError as error:
            error.path = _PATH
            raise
        fields = _fields(answer.body)
        value = fields.get("access_token")
        if answer.status != httpx2.codes.OK or not isinstance(value, str) or not _is_token(value):
            raise _failed(answer.status, fields.get("error"))
        seconds = _lifetime(fields.get("expires_in"))
        token = Token(value=value, until=self._clock() + seconds - min(EARLY_SECONDS, seconds / 2))
        self._keep(key, token)
        return token

    def _keep(self, key: str, token: Token) -> None:
        self._tokens.pop(key, None)
        while len(self._tokens) >= MAX_KEPT:
            self._tokens.pop(next(iter(self._tokens)))
        self._tokens[key] = token


def _token_request(auth: OAuth2Auth) -> Outgoing:
    form = {"grant_type": "client_credentials"}
    form |= {name: value for name, value in (("scope", auth.scope), ("audience", auth.audience)) if value}
    headers = httpx2.Headers({**DEFAULT_HEADERS, "content-type": "application/x-www-form-urlencoded"})
    if auth.credentials_in == "header":
        headers["authorization"] = basic(quote_plus(auth.client_id), quote_plus(auth.client_secret))
    else:
        form |= {"client_id": auth.client_id, "client_secret": auth.client_secret}
    return Outgoing(method="POST", url=parse_url(auth.token_url), headers=headers, content=urlencode(form).encode())


def _fields(body: bytes) -> dict[str, object]:
    try:
        fields = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return fields if isinstance(fields, dict) else {}


def _lifetime(stated: object) -> float:
    """Some servers state the seconds as text."""
    if isinstance(stated, str) and stated.isascii() and stated.isdigit():
        stated = int(stated[:9])
    return float(stated) if isinstance(stated, int | float) and stated > 0 else DEFAULT_LIFETIME


def _is_token(value: str) -> bool:
    return value.isascii() and value.isprintable() and " " not in value and bool(value)


def _failed(status: int, error: object) -> AgentError:
    known = error if isinstance(error, str) and error.isidentifier() and len(error) <= 64 else "no access token"
    message = f"the token endpoint answered {status} ({known}); check `auth`"
    code = f"HTTP_{status // 100}XX" if status >= 400 else None
    return HttpStatusFailed(message, code=code, path=_PATH, details={"status": status})


def _key(policy: EgressPolicy, auth: OAuth2Auth) -> str:
    return hashlib.sha256(orjson.dumps([policy.tenant, policy.allow, auth.model_dump()])).hexdigest()
