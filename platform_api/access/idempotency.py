"""`Idempotency-Key`: the same POST sent again is answered as the first time, and does nothing.

The key is claimed in the transaction that does the work, before the work, and its row gets the answer before the
commit: a crash leaves both or neither. Who sends the same key meanwhile waits; in this process for its turn, so that
waiting costs no connection, and between processes for the row. Only success is kept: an error has changed nothing,
and the same key may try again. Where a route opens its transactions itself, the key is claimed and completed in short
ones before and after it; a crash in between leaves the key in use until its lease ends.
"""

import asyncio
import base64
import hmac
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256
from uuid import UUID

import orjson

from agents.errors import Problem
from platform_api.access.kept_answers import KeptAnswers
from platform_api.access.principal import Principal
from platform_api.db.models import IdempotencyKey
from platform_api.errors import Conflict, ValidationFailed
from platform_api.kit import clock
from platform_api.kit.asgi.messages import ScopeMap, header
from platform_api.kit.crypto import Cipher
from platform_api.kit.ids import new_id
from platform_api.settings import AuthSettings

KEPT_FOR = timedelta(hours=24)
LEASE = timedelta(minutes=10)
"""How long a request may take whose key is claimed in a transaction of its own."""

WAIT_SECONDS = 30.0
"""How long a second caller waits for the first one's answer."""

WITHOUT = ("/api/v1/auth/",)
"""Paths that take no key: their answers are tokens."""

_FORM = re.compile(r"[\x21-\x7e]{1,200}")
_KEPT_HEADERS = ("content-type", "etag", "location")
_ANSWER = "turbocat.answer"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What was, or will be, sent."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Replayed(Exception):
    """Not an error: the request was answered before, and `answer` is to be sent again."""

    def __init__(self, answer: Answer) -> None:
        super().__init__("answered before")
        self.answer = answer


@dataclass(frozen=True, kw_only=True)
class Owner:
    """Whose key it is: the same text of another caller, inside another project, or with another API key (whose scopes
    may not reach what the first answer holds) is another key."""

    tenant_id: UUID
    user_id: UUID | None
    project_id: UUID | None
    key: str


@dataclass
class _Turn:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    takers: int = 0


def note_answer(scope: ScopeMap, answer: Answer) -> None:
    """Tells the request's attempt what is about to be sent."""
    scope[_ANSWER] = answer


class Attempt:
    """One request and its key; without a key it does nothing."""

    def __init__(
        self, idempotency: "Idempotency", scope: ScopeMap, body: bytes, *, row: IdempotencyKey | None = None
    ) -> None:
        self.row = row
        self._idempotency = idempotency
        self._scope = scope
        self._body = body

    async def begin(self, rows: KeptAnswers, *, lease: timedelta = KEPT_FOR) -> None:
        """Claims the key. Raises `Replayed`, or `Conflict` when the key stands for another request or is in use."""
        if self.row is None:
            return
        self.row.expires_at = clock.now() + lease
        await rows.purge(clock.now())
        while not await rows.claim(self.row, clock.now()):
            known = await rows.find(self.row)
            if known is not None:
                raise self._idempotency.answered(known, self.row, self._body)

    async def end(self, rows: KeptAnswers) -> None:
        """Keeps the answer, or gives the key back where there is none worth keeping (an error, a stream)."""
        if self.row is None:
            return
        answer: Answer | None = self._scope.get(_ANSWER)
        if answer is None or answer.status >= 300:
            await rows.release(self.row)
            return
        packed = self._idempotency.packed(self.row, answer)
        self.row.expires_at = clock.now() + KEPT_FOR
        await rows.complete(self.row, answer.status, packed)


class Idempotency:
    """One per process; knows the secrets and who is at it."""

    def __init__(self, settings: AuthSettings, cipher: Cipher) -> None:
        self._cipher = cipher
        keys = (settings.encryption_key, *settings.encryption_keys_old)
        self._secrets = [hmac.digest(bytes.fromhex(key.get_secret_value()), b"idempotency", sha256) for key in keys]
        self._turns: dict[Owner, _Turn] = {}

    @asynccontextmanager
    async def attempt(self, scope: ScopeMap, principal: Principal, body: bytes) -> AsyncIterator[Attempt]:
        """The request's attempt, once it is its turn. Raises `ValidationFailed` for a malformed key."""
        key = _key(scope)
        if key is None:
            yield Attempt(self, scope, body)
            return
        owner = Owner(
            tenant_id=principal.tenant_id,
            user_id=principal.user_id,
            project_id=principal.project_id,
            key=key if principal.key_id is None else f"{principal.key_id} {key}",
        )
        async with self._turn(owner):
            yield Attempt(self, scope, body, row=self._row(owner, scope, body))

    def answered(self, known: IdempotencyKey, row: IdempotencyKey, body: bytes) -> Exception:
        """What to raise for a request whose key is taken: its first answer, or that it is another request."""
        same = (known.method, known.path) == (row.method, row.path)
        if not same or known.body_hash not in self._hashes(body):
            message = "This Idempotency-Key was sent with another request; make a new key for each"
            return Conflict(message, details=[_problem("KEY_REUSED", message)])
        if known.response_status is None or known.response_body is None:
            return _in_use()
        kept = orjson.loads(self._cipher.unpack(known.response_body, place=_place(known)))
        sent = base64.b85decode(kept["body"])
        return Replayed(Answer(status=known.response_status, headers=kept["headers"], body=sent))

    def packed(self, row: IdempotencyKey, answer: Answer) -> bytes:
        """The answer, encrypted for its row."""
        headers = {name: answer.headers[name] for name in _KEPT_HEADERS if name in answer.headers}
        kept = orjson.dumps({"headers": headers, "body": base64.b85encode(answer.body).decode()})
        return self._cipher.pack(kept, place=_place(row))

    def _row(self, owner: Owner, scope: ScopeMap, body: bytes) -> IdempotencyKey:
        path = scope["path"] + ("?" + scope["query_string"].decode("latin-1") if scope["query_string"] else "")
        return IdempotencyKey(
            id=new_id(),
            tenant_id=owner.tenant_id,
            user_id=owner.user_id,
            project_id=owner.project_id,
            key=owner.key,
            method=scope["method"],
            path=path,
            body_hash=self._hashes(body)[0],
            expires_at=clock.now() + KEPT_FOR,
        )

    def _hashes(self, body: bytes) -> list[str]:
        """Under the newest key and under those that a kept row may still bear; a body may hold a guessable secret."""
        return [hmac.new(secret, body, sha256).hexdigest() for secret in self._secrets]

    @asynccontextmanager
    async def _turn(self, owner: Owner) -> AsyncIterator[None]:
        turn = self._turns.setdefault(owner, _Turn())
        turn.takers += 1
        try:
            await _acquire(turn.lock)
            try:
                yield
            finally:
                turn.lock.release()
        finally:
            turn.takers -= 1
            if turn.takers == 0:
                del self._turns[owner]


async def _acquire(lock: asyncio.Lock) -> None:
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            await lock.acquire()
    except TimeoutError as error:
        raise _in_use() from error


def _key(scope: ScopeMap) -> str | None:
    key = header(scope, b"idempotency-key")
    if key is None or scope["method"] != "POST" or scope["path"].startswith(WITHOUT):
        return None
    if not _FORM.fullmatch(key):
        message = "Idempotency-Key takes 1 to 200 visible ASCII characters, such as a UUID"
        raise ValidationFailed(message, details=[_problem("BAD_IDEMPOTENCY_KEY", message)])
    return key


def _in_use() -> Conflict:
    message = "The first request with this Idempotency-Key is still being worked on; try again later"
    return Conflict(message, details=[_problem("KEY_IN_USE", message)], headers={"Retry-After": "5"})


def _place(row: IdempotencyKey) -> str:
    return f"idempotency_keys/{row.tenant_id}/{row.id}"


def _problem(code: str, message: str) -> Problem:
    return Problem(path="headers.Idempotency-Key", code=code, message=message)
