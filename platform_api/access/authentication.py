"""Turns credentials into a principal. Whatever is wrong with them, the answer is 401 and never a lesser role."""

from uuid import UUID

from platform_api.access.key_usage import KeyUsage
from platform_api.access.keys import is_project_key, prefix_of
from platform_api.access.principal import Credential, PlatformRole, Principal, Via
from platform_api.access.repository import CredentialRepository, KeyHolder
from platform_api.access.scope import SystemScope
from platform_api.access.tokens import Tokens, fingerprint
from platform_api.errors import Unauthenticated


class Authentication:
    """Reads sessions and keys inside one system scope."""

    def __init__(self, scope: SystemScope, tokens: Tokens, key_usage: KeyUsage) -> None:
        self._credentials = CredentialRepository(scope.session)
        self._tokens = tokens
        self._key_usage = key_usage

    async def authenticate(self, bearer: str | None, api_key: str | None) -> Principal:
        """The caller, by access token if there is one, else by key. Raises `Unauthenticated` or `TokenExpired`."""
        if bearer is not None:
            return await self._by_token(bearer)
        if api_key is not None:
            return await self._by_key(api_key)
        raise Unauthenticated("Send an access token (`Authorization: Bearer …`) or a key (`X-API-Key: …`)")

    async def again(self, credential: Credential) -> Principal:
        """The caller with the rights that they have by now; raises `Unauthenticated` when they are nobody any more."""
        if credential.via is Via.TOKEN and credential.user_id is not None:
            return await self._by_session(credential.id, credential.user_id, credential.tenant_id)
        holder = await self._credentials.find_key_by_id(credential.id)
        if holder is None or holder.tenant_id != credential.tenant_id:
            raise _bad_key()
        return _of_project(holder) if credential.via is Via.PROJECT_KEY else _of_user(holder)

    async def _by_token(self, token: str) -> Principal:
        claims = self._tokens.read_access(token)
        return await self._by_session(claims.session_id, claims.user_id, claims.tenant_id)

    async def _by_session(self, session_id: UUID, user_id: UUID, tenant_id: UUID) -> Principal:
        holder = await self._credentials.open_session(session_id, user_id)
        if holder is None or holder.tenant_id != tenant_id:
            raise Unauthenticated("The session has ended; log in again")
        if holder.tenant_role is None and holder.platform_role is not PlatformRole.ADMIN:
            raise Unauthenticated("You are no longer a member of this tenant; log in again")
        return Principal(
            tenant_id=holder.tenant_id,
            user_id=user_id,
            platform_role=holder.platform_role,
            tenant_role=holder.tenant_role,
            via=Via.TOKEN,
            session_id=session_id,
        )

    async def _by_key(self, text: str) -> Principal:
        prefix = prefix_of(text)
        holder = await self._credentials.find_key(prefix, fingerprint(text)) if prefix else None
        if holder is None:
            raise _bad_key()
        principal = _of_project(holder) if is_project_key(text) else _of_user(holder)
        self._key_usage.note(holder.key_id)
        return principal


def _of_user(holder: KeyHolder) -> Principal:
    if holder.tenant_role is None:
        raise _bad_key()
    return Principal(
        tenant_id=holder.tenant_id,
        user_id=holder.user_id,
        platform_role=holder.platform_role,
        tenant_role=holder.tenant_role,
        via=Via.USER_KEY,
        project_id=holder.project_id,
        key_id=holder.key_id,
        key_scopes=holder.scopes,
        key_limit_per_minute=holder.rate_limit_per_minute,
        key_expires_at=holder.expires_at,
    )


def _of_project(holder: KeyHolder) -> Principal:
    if holder.project_id is None:
        raise _bad_key()
    is_admins = holder.platform_role is PlatformRole.ADMIN
    if holder.tenant_role is None and not is_admins:
        raise _bad_key()
    return Principal(
        tenant_id=holder.tenant_id,
        user_id=None,
        platform_role=PlatformRole.AGENT,
        tenant_role=None if is_admins else holder.tenant_role,  # the key does no more than its maker still may
        via=Via.PROJECT_KEY,
        project_id=holder.project_id,
        key_id=holder.key_id,
        key_scopes=holder.scopes,
        key_limit_per_minute=holder.rate_limit_per_minute,
        key_expires_at=holder.expires_at,
    )


def _bad_key() -> Unauthenticated:
    return Unauthenticated("The key cannot be used: it is unknown, revoked, expired, or its owner is gone")
