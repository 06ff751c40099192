"""Forgotten passwords and unproven addresses: what is sent by mail, and what comes back.

Whoever asks for a mail is answered before it is known whether there is such an account: the look-up runs in the
background, so neither the answer nor its time tells anything.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from platform_api.access.passwords import Passwords
from platform_api.access.repository import CredentialRepository
from platform_api.access.scope import SystemScope, system_scope
from platform_api.db.engine import Sessions
from platform_api.db.enums import TokenPurpose
from platform_api.db.models import User
from platform_api.kit.background import Background
from platform_api.kit.links import Links
from platform_api.kit.mail import Mail, Post
from platform_api.resources.audit_log.service import AuditLog
from platform_api.resources.auth.lockout import ACCOUNT, account_id
from platform_api.resources.auth.mails import password_changed_mail, reset_mail, verification_mail
from platform_api.resources.auth.one_time_tokens import OneTimeTokens, unusable
from platform_api.resources.sessions.service import UserSessions
from platform_api.resources.tenants.service import Tenants
from platform_api.resources.users.service import Users, check_new_password


@dataclass(frozen=True, kw_only=True)
class Mailroom:
    """What it takes to write to people."""

    post: Post
    links: Links

    async def verification(self, scope: SystemScope, user: User) -> None:
        """Asks a user to prove their address, once `scope` is committed; not twice within a minute."""
        await self._send(scope, user, TokenPurpose.VERIFY_EMAIL, verification_mail)

    async def reset(self, scope: SystemScope, user: User) -> None:
        """Sends a user what lets them choose a new password, likewise."""
        await self._send(scope, user, TokenPurpose.RESET_PASSWORD, reset_mail)

    async def _send(
        self, scope: SystemScope, user: User, purpose: TokenPurpose, write: Callable[[str, str, Links], Mail]
    ) -> None:
        token = await OneTimeTokens(scope).issue(purpose, user.id)
        if token is not None:
            scope.after_commit(partial(self.post.post, write(user.email, token, self.links)))


class Recovery:
    """Opens its own scopes, like `Identity`."""

    def __init__(self, *, sessions: Sessions, passwords: Passwords, mailroom: Mailroom, background: Background) -> None:
        self._sessions = sessions
        self._passwords = passwords
        self._mailroom = mailroom
        self._background = background

    def forgot_password(self, email: str) -> None:
        """Sends a reset mail if there is such an account; returns at once."""
        self._background.start(self._send_reset(email))

    def resend_verification(self, email: str) -> None:
        """Sends a verification mail if there is such an account and it needs one; returns at once."""
        self._background.start(self._send_verification(email))

    async def reset_password(self, token: str, new: str) -> None:
        """Sets a new password and ends every session. Raises `ValidationFailed`; a weak password costs no token."""
        check_new_password(new, path="newPassword")
        async with system_scope(self._sessions) as scope:
            await OneTimeTokens(scope).check(TokenPurpose.RESET_PASSWORD, token)
        password_hash = await self._passwords.hash(new)
        async with system_scope(self._sessions) as scope:
            user = await self._owner(scope, TokenPurpose.RESET_PASSWORD, token)
            await Users(scope).set_password(user.id, password_hash)
            if user.email_verified_at is None:  # whoever registered it may have been somebody else
                await CredentialRepository(scope.session).revoke_keys_of(user.id)
            await Users(scope).mark_verified(user.id)
            await UserSessions(scope).end_all(user.id)
            await (await _audit(scope, user)).record("auth.password_reset", ACCOUNT, account_id(user.email))
            scope.after_commit(partial(self._mailroom.post.post, password_changed_mail(user.email)))

    async def verify_email(self, token: str) -> None:
        """The address is the user's. Raises `ValidationFailed`."""
        async with system_scope(self._sessions) as scope:
            user = await self._owner(scope, TokenPurpose.VERIFY_EMAIL, token)
            before = {"email_verified_at": user.email_verified_at}
            await Users(scope).mark_verified(user.id)
            after = {"email_verified_at": user.email_verified_at}
            await (await _audit(scope, user)).record("auth.email_verified", "user", user.id, before, after)

    async def _owner(self, scope: SystemScope, purpose: TokenPurpose, token: str) -> User:
        user = await Users(scope).find(await OneTimeTokens(scope).use(purpose, token))
        if user is None or not user.is_active:
            raise unusable()
        return user

    async def _send_reset(self, email: str) -> None:
        async with system_scope(self._sessions) as scope:
            user = await self._reachable(scope, email)
            if user is not None:
                await self._mailroom.reset(scope, user)
                await (await _audit(scope, user)).record("auth.password_forgotten", "user", user.id)

    async def _send_verification(self, email: str) -> None:
        async with system_scope(self._sessions) as scope:
            user = await self._reachable(scope, email)
            if user is not None and user.email_verified_at is None:
                await self._mailroom.verification(scope, user)
                await (await _audit(scope, user)).record("auth.verification_asked", "user", user.id)

    async def _reachable(self, scope: SystemScope, email: str) -> User | None:
        """The active user of an address, held so that mails to one person take turns."""
        known = await Users(scope).find_by_email(email)
        return await Users(scope).get(known.id, lock=True) if known is not None and known.is_active else None


async def _audit(scope: SystemScope, user: User) -> AuditLog:
    """Entries about an account lie in the tenant that its login enters."""
    tenants = await Tenants(scope).of_user(user.id)
    return AuditLog(scope, tenant_id=tenants[0][0].id if tenants else None, user_id=user.id)
