"""What routes ask for: a scope with a checked permission, a system scope for what has no caller yet, shared parts.

Scopes have `scope="function"`: the commit happens before the answer is sent.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Query, Request
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from flows.orchestrator import Orchestrator
from platform_api.access.authentication import Authentication
from platform_api.access.idempotency import LEASE, Attempt, Idempotency
from platform_api.access.kept_answers import KeptAnswers
from platform_api.access.key_usage import KeyUsage
from platform_api.access.passwords import Passwords
from platform_api.access.permissions import Permission
from platform_api.access.principal import Credential, Principal
from platform_api.access.rate_limits import RateLimits
from platform_api.access.roles import allows
from platform_api.access.scope import (
    AccountScope,
    SystemScope,
    TenantScope,
    account_scope,
    system_scope,
    tenant_scope,
)
from platform_api.access.stream_tokens import StreamTokens
from platform_api.access.tokens import Tokens
from platform_api.db.engine import Sessions
from platform_api.errors import Forbidden, TokenExpired, Unauthenticated
from platform_api.kit.background import Background
from platform_api.kit.crypto import Cipher
from platform_api.kit.links import Links
from platform_api.kit.mail import Post
from platform_api.kit.mailers import mailer_for
from platform_api.settings import Settings


@dataclass(kw_only=True)
class Platform:
    """What one API process shares between its requests. `started_at` is of the monotonic clock, in seconds."""

    settings: Settings
    sessions: Sessions
    orchestrator: Orchestrator
    started_at: float
    tokens: Tokens = field(init=False)
    stream_tokens: StreamTokens = field(init=False)
    passwords: Passwords = field(init=False)
    background: Background = field(init=False)
    post: Post = field(init=False)
    links: Links = field(init=False)
    key_usage: KeyUsage = field(init=False)
    cipher: Cipher = field(init=False)
    rate_limits: RateLimits = field(init=False)
    idempotency: Idempotency = field(init=False)

    def __post_init__(self) -> None:
        self.tokens = Tokens(self.settings.auth)
        self.stream_tokens = StreamTokens(self.settings.auth)
        self.passwords = Passwords(rounds=self.settings.auth.bcrypt_rounds)
        self.background = Background()
        mail = self.settings.mail
        self.post = Post(mailer_for(mail, self.settings.data_dir), self.background, sender=mail.sender)
        self.links = Links(mail.link_base_url or next(iter(self.settings.api.frontend_url), None))
        self.key_usage = KeyUsage(self.sessions)
        self.cipher = Cipher.of(self.settings.auth)
        self.rate_limits = RateLimits(self.settings.limits)
        self.idempotency = Idempotency(self.settings.auth, self.cipher)


def platform(request: Request) -> Platform:
    """The shared parts, made by `main`'s lifespan."""
    shared: Platform = request.app.state.platform
    return shared


PlatformDep = Annotated[Platform, Depends(platform)]


def sessions(shared: PlatformDep) -> Sessions:
    """The session maker, for what opens its own scopes (streams, probes)."""
    return shared.sessions


def orchestrator(shared: PlatformDep) -> Orchestrator:
    """The gateway to Prefect."""
    return shared.orchestrator


SessionsDep = Annotated[Sessions, Depends(sessions)]
OrchestratorDep = Annotated[Orchestrator, Depends(orchestrator)]

_bearer = HTTPBearer(auto_error=False, scheme_name="bearer", description="Access token of `/auth/login`")
_api_key = APIKeyHeader(
    name="X-API-Key", auto_error=False, scheme_name="apiKey", description="Key of a user or a project"
)


async def count_address(request: Request, shared: PlatformDep) -> None:
    """Counts calls of paths that are open to anybody, before anything else is looked at."""
    await shared.rate_limits.count_address(request.scope)


async def caller(
    request: Request,
    shared: PlatformDep,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
    api_key: Annotated[str | None, Depends(_api_key)],
) -> Principal:
    """Who calls; raises 401 when that cannot be told, 429 for too many calls or too many guesses."""

    async def identify(authentication: Authentication) -> Principal:
        return await authentication.authenticate(bearer.credentials if bearer else None, api_key)

    return await _identified(request, shared, identify, guessed=bearer is not None or api_key is not None)


CallerDep = Annotated[Principal, Depends(caller)]


async def stream_caller(
    execution_id: UUID,
    request: Request,
    shared: PlatformDep,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
    api_key: Annotated[str | None, Depends(_api_key)],
    token: Annotated[str | None, Query(max_length=4096, description="A stream token, in place of headers")] = None,
) -> Principal:
    """`caller` for event streams, which take a token of their own in the URL where there are no headers."""
    if token is None or bearer is not None or api_key is not None:
        return await caller(request, shared, bearer, api_key)

    async def identify(authentication: Authentication) -> Principal:
        return await authentication.again(shared.stream_tokens.read(token, execution_id))

    return await _identified(request, shared, identify, guessed=True)


StreamCallerDep = Annotated[Principal, Depends(stream_caller)]


async def known_again(shared: Platform, credential: Credential) -> Principal:
    """Who was known by `credential`, with the rights of now; raises `Unauthenticated` when that has ended."""
    async with system_scope(shared.sessions) as scope:
        return await Authentication(scope, shared.tokens, shared.key_usage).again(credential)


async def _identified(
    request: Request,
    shared: Platform,
    identify: Callable[[Authentication], Awaitable[Principal]],
    *,
    guessed: bool,
) -> Principal:
    """Whom `identify` finds; `guessed` says that there was something to be wrong."""
    limits = shared.rate_limits
    if guessed:
        await limits.check_guesses(request.scope)
    try:
        async with system_scope(shared.sessions) as scope:
            principal = await identify(Authentication(scope, shared.tokens, shared.key_usage))
    except Unauthenticated as refusal:
        if guessed and not isinstance(refusal, TokenExpired):
            await limits.count_guess(request.scope)
        raise
    await limits.count_caller(request.scope, principal)
    return principal


async def visitor(
    request: Request,
    shared: PlatformDep,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
    api_key: Annotated[str | None, Depends(_api_key)],
) -> Principal | None:
    """Who calls a path that is open to anybody; None without credentials, 401 with unusable ones."""
    if bearer is None and api_key is None:
        return None
    return await caller(request, shared, bearer, api_key)


VisitorDep = Annotated[Principal | None, Depends(visitor)]
"""For routes that show more to those who log in; listed in the test of routes that need no token."""


@asynccontextmanager
async def _attempt(request: Request, shared: Platform, principal: Principal) -> AsyncIterator[Attempt]:
    """The request's idempotency key, if it has one; opened around the transaction, so that it is the last to end."""
    body = await request.body() if request.method == "POST" else b""
    async with shared.idempotency.attempt(request.scope, principal, body) as attempt:
        yield attempt


@dataclass(frozen=True)
class Permit:
    """A caller who has `permission`. The test that walks all routes finds permissions by this class."""

    permission: Permission

    async def __call__(self, request: Request, shared: PlatformDep, principal: CallerDep) -> AsyncIterator[Any]:
        """The principal. Raises `Forbidden`."""
        self.check(principal)
        async with _attempt(request, shared, principal) as attempt:
            if attempt.row is None:
                yield principal
                return
            async with tenant_scope(shared.sessions, principal.tenant_id, principal) as scope:
                await attempt.begin(KeptAnswers(scope.session), lease=LEASE)
            try:
                yield principal
            finally:
                async with tenant_scope(shared.sessions, principal.tenant_id, principal) as scope:
                    await attempt.end(KeptAnswers(scope.session))

    def check(self, principal: Principal) -> None:
        """Raises `Forbidden`."""
        if not allows(principal, self.permission):
            raise Forbidden(f"This needs the permission {self.permission.value}, which your role or key does not have")


class _TenantPermit(Permit):
    async def __call__(self, request: Request, shared: PlatformDep, principal: CallerDep) -> AsyncIterator[TenantScope]:
        self.check(principal)
        async with (
            _attempt(request, shared, principal) as attempt,
            tenant_scope(shared.sessions, principal.tenant_id, principal) as scope,
        ):
            await attempt.begin(KeptAnswers(scope.session))
            yield scope
            await attempt.end(KeptAnswers(scope.session))


class _AccountPermit(Permit):
    async def __call__(
        self, request: Request, shared: PlatformDep, principal: CallerDep
    ) -> AsyncIterator[AccountScope]:
        self.check(principal)
        async with (
            _attempt(request, shared, principal) as attempt,
            account_scope(shared.sessions, principal) as scope,
        ):
            await attempt.begin(KeptAnswers(scope.session))
            yield scope
            await attempt.end(KeptAnswers(scope.session))


def requires(permission: Permission) -> Any:
    """A tenant scope for callers with `permission`: `scope: Annotated[TenantScope, requires(Permission.…)]`."""
    return Depends(_TenantPermit(permission), scope="function")


def requires_for_account(permission: Permission) -> Any:
    """The same over what belongs to users and not to tenants (profile, sessions): an `AccountScope`."""
    return Depends(_AccountPermit(permission), scope="function")


def permits(permission: Permission) -> Any:
    """The checked `Principal` alone, without a transaction: for routes that open scopes of their own."""
    return Depends(Permit(permission), scope="function")


async def _public_scope(shared: PlatformDep) -> AsyncIterator[SystemScope]:
    async with system_scope(shared.sessions) as scope:
        yield scope


PublicScope = Annotated[SystemScope, Depends(_public_scope, scope="function")]
"""For routes without login; listed in the test of routes that need none."""
