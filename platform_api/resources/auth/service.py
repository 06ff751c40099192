"""Registration, login, refresh and change of password.

Opens its own scopes: a password is hashed between two transactions, never inside one, so that slow hashes hold no
connection; and what a refused attempt leaves behind (the counted failure, the ended family) is committed first.
"""

from dataclasses import dataclass
from uuid import UUID

from agents.errors import Problem
from platform_api.access.passwords import Passwords
from platform_api.access.principal import Principal
from platform_api.access.scope import SystemScope, system_scope
from platform_api.access.tokens import Tokens
from platform_api.db.engine import Sessions
from platform_api.db.enums import TokenPurpose
from platform_api.db.models import Tenant, User
from platform_api.errors import Forbidden, InvalidCredentials, TokenReused, ValidationFailed
from platform_api.kit import clock
from platform_api.kit.ids import new_id
from platform_api.resources.audit_log.service import AuditLog
from platform_api.resources.auth.lockout import ACCOUNT, LOGIN, Lockout
from platform_api.resources.auth.one_time_tokens import OneTimeTokens
from platform_api.resources.auth.recovery import Mailroom
from platform_api.resources.auth.schemas import Registration
from platform_api.resources.sessions.login import IssuedTokens, LoginSessions
from platform_api.resources.sessions.service import UserSessions
from platform_api.resources.tenants.schemas import MAX_NAME
from platform_api.resources.tenants.service import Tenants
from platform_api.resources.users.service import Users, check_new_password, person


@dataclass(frozen=True, kw_only=True)
class SignedIn:
    """Who is logged in, where, and with what."""

    user: User
    tenant: Tenant
    tokens: IssuedTokens


class Identity:
    """What needs no login yet, and what hashes passwords."""

    def __init__(self, *, sessions: Sessions, tokens: Tokens, passwords: Passwords, mailroom: Mailroom) -> None:
        self._sessions = sessions
        self._mailroom = mailroom
        self._tokens = tokens
        self._passwords = passwords

    async def register(self, wanted: Registration) -> SignedIn:
        """A new user with a tenant of their own. Raises `ValidationFailed` or `Conflict`."""
        password = wanted.password.get_secret_value()
        check_new_password(password, path="password")
        password_hash = await self._passwords.hash(password)
        async with system_scope(self._sessions) as scope:
            user = await Users(scope).create(
                email=wanted.email, password_hash=password_hash, full_name=wanted.full_name
            )
            tenant = await Tenants(scope).create(wanted.tenant_name or _workspace_of(user.full_name), owner_id=user.id)
            audit = AuditLog(scope, tenant_id=tenant.id, user_id=user.id)
            await audit.record("auth.register", "user", user.id, after=person(user))
            await self._mailroom.verification(scope, user)
            return await sign_in(scope, self._tokens, user, tenant)

    async def login(self, email: str, password: str) -> SignedIn:
        """Raises `InvalidCredentials` or `AccountLocked`, the same for addresses without an account."""
        async with system_scope(self._sessions) as scope:
            await Lockout(scope, email).check()
            known = await Users(scope).find_by_email(email)
        stored = known.password_hash if known is not None and known.is_active else None
        matches = await self._passwords.matches(password, stored)
        async with system_scope(self._sessions) as scope:
            signed_in = await self._settle(scope, email, known, matches)
        if signed_in is None:
            raise InvalidCredentials("E-mail and password do not belong together")
        return signed_in

    async def _settle(self, scope: SystemScope, email: str, known: User | None, matches: bool) -> SignedIn | None:
        """Counts the attempt; the lock is asked again, because others may have failed during the hash, and the user is,
        whose password may have been changed meanwhile."""
        lockout = Lockout(scope, email)
        await lockout.hold()
        await lockout.check()
        tenants = await Tenants(scope).of_user(known.id if known else new_id())  # the same work for both
        user = await Users(scope).get(known.id, lock=True) if known is not None and matches else None
        if known is None or user is None or _changed_since(known, user):
            tenant_id = tenants[0][0].id if tenants else None
            await lockout.record_failure(tenant_id=tenant_id, user_id=known.id if known else None)
            return None
        if not tenants:
            raise Forbidden("You belong to no tenant; ask to be invited to one")
        tenant = tenants[0][0]
        audit = AuditLog(scope, tenant_id=tenant.id, user_id=user.id)
        await audit.record(LOGIN, ACCOUNT, lockout.account_id)
        return await sign_in(scope, self._tokens, user, tenant)

    async def refresh(self, refresh_token: str) -> IssuedTokens:
        """The tokens that follow. Raises `Unauthenticated`, `TokenExpired` or `TokenReused`."""
        async with system_scope(self._sessions) as scope:
            issued = await LoginSessions(scope, self._tokens).rotate(refresh_token)
        if issued is None:
            raise TokenReused("This refresh token was used before; its session has been ended, log in again")
        return issued

    async def change_password(self, principal: Principal, current: str, new: str) -> None:
        """Ends every other session. Raises `ValidationFailed` or `AccountLocked`."""
        user_id = _person(principal)
        check_new_password(new, path="newPassword")
        async with system_scope(self._sessions) as scope:
            user = await Users(scope).get(user_id)
            await Lockout(scope, user.email).check()
        matches = await self._passwords.matches(current, user.password_hash)
        password_hash = await self._passwords.hash(new) if matches else None
        async with system_scope(self._sessions) as scope:
            changed = await self._set_password(scope, principal, user, password_hash)
        if not changed:
            wrong = Problem(path="currentPassword", code="INCORRECT", message="This is not your password")
            raise ValidationFailed("This is not your password", details=[wrong])

    async def _set_password(
        self, scope: SystemScope, principal: Principal, known: User, password_hash: str | None
    ) -> bool:
        """Counts a wrong current password (None), else sets the new one. Lock and user are asked again, as for logins:
        of guesses sent at once none slips past the count."""
        lockout = Lockout(scope, known.email)
        await lockout.hold()
        await lockout.check()
        if password_hash is None or _changed_since(known, await Users(scope).get(known.id, lock=True)):
            await lockout.record_failure(tenant_id=principal.tenant_id, user_id=known.id)
            return False
        await Users(scope).set_password(known.id, password_hash)
        await OneTimeTokens(scope).void(TokenPurpose.RESET_PASSWORD, known.id)
        await UserSessions(scope).end_all(known.id, but_family_of=principal.session_id)
        audit = AuditLog(scope, tenant_id=principal.tenant_id, user_id=known.id)
        await audit.record("user.password_change", "user", known.id)
        return True


async def sign_in(scope: SystemScope, tokens: Tokens, user: User, tenant: Tenant) -> SignedIn:
    """Opens a session of somebody who has proved who they are."""
    user.last_login_at = clock.now()
    issued = await LoginSessions(scope, tokens).open(user_id=user.id, tenant_id=tenant.id)
    return SignedIn(user=user, tenant=tenant, tokens=issued)


def _workspace_of(full_name: str) -> str:
    """What a tenant is called unless it is said; no longer than such a name may be."""
    kind = "'s workspace"
    return full_name[: MAX_NAME - len(kind)].rstrip() + kind


def _person(principal: Principal) -> UUID:
    if principal.user_id is None:
        raise Forbidden("A project's key has no password")
    return principal.user_id


def _changed_since(known: User, user: User) -> bool:
    """Whether the password that was checked against `known` is worth nothing any more."""
    return user.password_hash != known.password_hash or not user.is_active
