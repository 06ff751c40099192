"""`/auth` without sessions, and the change of one's own password."""

from typing import Annotated

from fastapi import APIRouter, Depends, status

from platform_api.access.dependencies import PlatformDep, permits, requires_for_account
from platform_api.access.permissions import Permission
from platform_api.access.principal import Principal
from platform_api.access.recorded_route import RecordedRoute
from platform_api.access.scope import AccountScope
from platform_api.kit.envelope import errors, ok
from platform_api.kit.schemas import Envelope
from platform_api.resources.auth.recovery import Mailroom, Recovery
from platform_api.resources.auth.schemas import (
    AddressOnly,
    Login,
    PasswordReset,
    Refresh,
    RefreshedView,
    Registration,
    SignedInView,
    TenantChoice,
    TokenOnly,
)
from platform_api.resources.auth.service import Identity
from platform_api.resources.auth.switching import switch_tenant as switch
from platform_api.resources.users.schemas import PasswordChange

router = APIRouter(tags=["Identity"], route_class=RecordedRoute)


def _mailroom(platform: PlatformDep) -> Mailroom:
    return Mailroom(post=platform.post, links=platform.links)


MailroomDep = Annotated[Mailroom, Depends(_mailroom)]


def _identity(platform: PlatformDep, mailroom: MailroomDep) -> Identity:
    return Identity(sessions=platform.sessions, tokens=platform.tokens, passwords=platform.passwords, mailroom=mailroom)


def _recovery(platform: PlatformDep, mailroom: MailroomDep) -> Recovery:
    return Recovery(
        sessions=platform.sessions,
        passwords=platform.passwords,
        mailroom=mailroom,
        background=platform.background,
    )


IdentityDep = Annotated[Identity, Depends(_identity)]
RecoveryDep = Annotated[Recovery, Depends(_recovery)]


@router.post("/auth/register", status_code=status.HTTP_201_CREATED, responses=errors(409))
async def register(registration: Registration, identity: IdentityDep) -> Envelope[SignedInView]:
    """Creates a user and a tenant that they own, and logs them in. A mail asks them to confirm their address."""
    return ok(SignedInView.model_validate(await identity.register(registration)))


@router.post("/auth/login", responses=errors(401, 403, 423))
async def login(credentials: Login, identity: IdentityDep) -> Envelope[SignedInView]:
    """Opens a session."""
    signed_in = await identity.login(credentials.email, credentials.password.get_secret_value())
    return ok(SignedInView.model_validate(signed_in))


@router.post("/auth/refresh", responses=errors(401))
async def refresh(body: Refresh, identity: IdentityDep) -> Envelope[RefreshedView]:
    """Exchanges a refresh token for the next one and a new access token. A used one ends the session."""
    tokens = await identity.refresh(body.refresh_token.get_secret_value())
    return ok(RefreshedView.model_validate({"tokens": tokens}))


@router.post("/auth/forgot-password", status_code=status.HTTP_202_ACCEPTED)
async def forgot_password(body: AddressOnly, recovery: RecoveryDep) -> Envelope[None]:
    """Sends a mail with a token for `/auth/reset-password`, if there is such an account. The answer is always the
    same. Within a minute of such a mail no second one is sent."""
    recovery.forgot_password(body.email)
    return ok(None)


@router.post("/auth/reset-password", status_code=status.HTTP_204_NO_CONTENT)
async def reset_password(body: PasswordReset, recovery: RecoveryDep) -> None:
    """Sets a new password with the token of a mail, and ends all sessions of the account. A token works once, within
    one hour; one that does not is a 400 on `token`."""
    await recovery.reset_password(body.token.get_secret_value(), body.new_password.get_secret_value())


@router.post("/auth/verify-email", status_code=status.HTTP_204_NO_CONTENT)
async def verify_email(body: TokenOnly, recovery: RecoveryDep) -> None:
    """Confirms an address with the token of a mail. It works once, within one day."""
    await recovery.verify_email(body.token.get_secret_value())


@router.post("/auth/resend-verification", status_code=status.HTTP_202_ACCEPTED)
async def resend_verification(body: AddressOnly, recovery: RecoveryDep) -> Envelope[None]:
    """Sends another mail with a token for `/auth/verify-email`, if there is such an account and it is not confirmed
    yet. The answer is always the same. Within a minute of such a mail no second one is sent."""
    recovery.resend_verification(body.email)
    return ok(None)


@router.post("/auth/switch-tenant", responses=errors(404))
async def switch_tenant(
    body: TenantChoice,
    scope: Annotated[AccountScope, requires_for_account(Permission.SESSIONS_SWITCH)],
    platform: PlatformDep,
) -> Envelope[SignedInView]:
    """Opens a session in another tenant of the caller's; the current one stays open. The platform's ADMIN may enter
    every tenant; for all others a tenant that they do not belong to is a 404."""
    return ok(SignedInView.model_validate(await switch(scope, platform.tokens, body.tenant_id)))


@router.post("/users/me/password", status_code=status.HTTP_204_NO_CONTENT, responses=errors(423))
async def change_password(
    change: PasswordChange, principal: Annotated[Principal, permits(Permission.PROFILE_UPDATE)], identity: IdentityDep
) -> None:
    """Changes one's own password and ends every other session."""
    await identity.change_password(
        principal, change.current_password.get_secret_value(), change.new_password.get_secret_value()
    )
