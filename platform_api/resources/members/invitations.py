"""Asking somebody to join, and joining."""

from datetime import timedelta
from functools import partial
from math import ceil
from uuid import UUID

from agents.errors import Problem
from platform_api.access.passwords import Passwords
from platform_api.access.principal import TenantRole
from platform_api.access.repository import CredentialRepository
from platform_api.access.scope import AccountScope, SystemScope, TenantScope, system_scope
from platform_api.access.tokens import Tokens, fingerprint
from platform_api.db.engine import Sessions
from platform_api.db.models import Invitation, Tenant, User
from platform_api.errors import Conflict, NotFound, RateLimited, ValidationFailed
from platform_api.kit import clock
from platform_api.kit.links import Links
from platform_api.kit.mail import Post
from platform_api.kit.pagination import Paging
from platform_api.resources.audit_log.service import AuditLog
from platform_api.resources.auth.one_time_tokens import new_token, unusable
from platform_api.resources.auth.service import SignedIn, sign_in
from platform_api.resources.members.mails import invitation_mail
from platform_api.resources.members.repository import InvitationRepository, InvitationTokens
from platform_api.resources.members.rules import check_grantable, check_touchable
from platform_api.resources.members.schemas import Acceptance
from platform_api.resources.sessions.service import UserSessions
from platform_api.resources.tenants.service import Tenants
from platform_api.resources.users.service import Users, check_new_password, person

LIFETIME = timedelta(days=7)
MAX_OPEN = 500
"""Invitations of one tenant that wait for an answer."""

MAILS_PER_HOUR = 5
"""From one tenant to one address, taken back or not, so that nobody's mailbox can be flooded."""


class Invitations:
    """The tenant's invitations."""

    def __init__(self, scope: TenantScope | AccountScope) -> None:
        self._scope = scope
        self._rows = InvitationRepository(scope)
        self._audit = AuditLog(scope)

    async def page(self, paging: Paging) -> tuple[list[Invitation], int]:
        """Those that can still be accepted."""
        return await self._rows.open(paging)

    async def send(self, email: str, role: TenantRole, *, post: Post, links: Links) -> Invitation:
        """Asks an address to join; an earlier invitation of it is void.

        Raises `Forbidden`, `Conflict`, or `RateLimited` for an address that has just had several.
        """
        caller = self._scope.principal
        assert caller is not None  # a request's scope
        check_grantable(caller, role)
        tenant = await Tenants(self._scope).hold(self._scope.tenant_id)
        await self._check_mailbox(email)
        await self._rows.revoke(email)
        if await self._rows.count_open() >= MAX_OPEN:
            raise Conflict(f"{MAX_OPEN} invitations wait for an answer; take some back before you send more")
        token = new_token()
        invitation = Invitation(
            tenant_id=tenant.id,
            email=email,
            role=role,
            invited_by=caller.user_id,
            token_hash=fingerprint(token),
            expires_at=clock.now() + LIFETIME,
        )
        await self._rows.add(invitation)
        await self._audit.record("member.invite", "invitation", invitation.id, after={"email": email, "role": role})
        self._scope.after_commit(partial(post.post, invitation_mail(email, tenant.name, token, links)))
        return invitation

    async def _check_mailbox(self, email: str) -> None:
        times = await self._rows.times_since(email, clock.now() - timedelta(hours=1))
        if len(times) < MAILS_PER_HOUR:
            return
        wait = times[-MAILS_PER_HOUR] + timedelta(hours=1) - clock.now()
        raise RateLimited(
            f"This address was sent {MAILS_PER_HOUR} invitations within an hour; wait before you send another",
            headers={"Retry-After": str(max(1, ceil(wait.total_seconds())))},
        )

    async def revoke(self, invitation_id: UUID) -> None:
        """Takes one back. Raises `NotFound` or `Forbidden`."""
        caller = self._scope.principal
        assert caller is not None  # a request's scope
        invitation = await self._rows.get_open(invitation_id)
        check_touchable(caller, invitation.role)
        await self._rows.revoke(invitation.email)
        before = {"email": invitation.email, "role": invitation.role}
        await self._audit.record("member.uninvite", "invitation", invitation.id, before=before)


class Joining:
    """Accepts invitations; opens its own scopes, so that no password is hashed inside a transaction."""

    def __init__(self, *, sessions: Sessions, tokens: Tokens, passwords: Passwords) -> None:
        self._sessions = sessions
        self._tokens = tokens
        self._passwords = passwords

    async def accept(self, wanted: Acceptance) -> SignedIn:
        """The invited address becomes a member and is logged in. Raises `ValidationFailed`."""
        token_hash = fingerprint(wanted.token.get_secret_value())
        async with system_scope(self._sessions) as scope:
            invitation = await InvitationTokens(scope.session).find(token_hash)
            if invitation is None:
                raise unusable()
            known = await Users(scope).find_by_email(invitation.email)
        proven = known is not None and known.email_verified_at is not None
        password_hash = "" if proven else await self._passwords.hash(_new_password(wanted))
        async with system_scope(self._sessions) as scope:
            accepted = await InvitationTokens(scope.session).accept(token_hash)
            if accepted is None:
                raise unusable()
            user = await self._user(scope, accepted, wanted.full_name, password_hash)
            tenant = await _join(scope, accepted, user)
            return await sign_in(scope, self._tokens, user, tenant)

    async def _user(self, scope: SystemScope, accepted: Invitation, full_name: str | None, password_hash: str) -> User:
        users = Users(scope)
        user = await users.find_by_email(accepted.email)
        if user is not None and not user.is_active:
            raise unusable()
        if user is not None and user.email_verified_at is not None:
            return user
        if not password_hash or full_name is None:
            raise unusable()  # the account that was there a moment ago is gone
        if user is None:
            user = await users.create(email=accepted.email, password_hash=password_hash, full_name=full_name)
            audit = AuditLog(scope, tenant_id=accepted.tenant_id, user_id=user.id)
            await audit.record("auth.register", "user", user.id, after=person(user))
        else:
            await _hand_over(scope, user, full_name, password_hash)
        await users.mark_verified(user.id)
        return user


async def _hand_over(scope: SystemScope, user: User, full_name: str, password_hash: str) -> None:
    """An account whose address was never proven becomes the mailbox's: whoever registered it is shut out of it."""
    user.full_name = full_name
    await Users(scope).set_password(user.id, password_hash)
    await UserSessions(scope).end_all(user.id)
    await CredentialRepository(scope.session).revoke_keys_of(user.id)
    await AuditLog(scope, user_id=user.id).record("auth.hand_over", "user", user.id, after=person(user))


async def _join(scope: SystemScope, invitation: Invitation, user: User) -> Tenant:
    tenants = Tenants(scope)
    try:
        tenant = await tenants.hold(invitation.tenant_id)
    except NotFound as error:
        raise unusable() from error
    if await tenants.role_of(user.id, tenant.id) is None:
        await tenants.add_member(tenant.id, user.id, invitation.role)
    audit = AuditLog(scope, tenant_id=tenant.id, user_id=user.id)
    await audit.record("member.join", "user", user.id, after={"email": user.email, "role": invitation.role})
    return tenant


def _new_password(wanted: Acceptance) -> str:
    """The password of a new or unproven account; raises `ValidationFailed` with all that is missing or weak."""
    missing = [name for name, value in (("password", wanted.password), ("fullName", wanted.full_name)) if not value]
    if missing or wanted.password is None:
        message = "Nobody has confirmed this address yet: choose a password and say your name"
        problems = [Problem(path=name, code="REQUIRED", message=message) for name in missing]
        raise ValidationFailed(message, details=problems)
    password = wanted.password.get_secret_value()
    check_new_password(password, path="password")
    return password
