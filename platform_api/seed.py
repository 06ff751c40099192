"""What an installation starts with: its administrator, the official templates. Running it again changes nothing."""

import secrets
from dataclasses import dataclass

from platform_api.access.passwords import Passwords, password_problems
from platform_api.access.principal import PlatformRole
from platform_api.access.scope import system_scope
from platform_api.db.engine import Sessions
from platform_api.resources.audit_log.service import AuditLog
from platform_api.resources.auth.lockout import Lockout
from platform_api.resources.templates.service import write_official_templates
from platform_api.resources.tenants.service import Tenants
from platform_api.resources.users.service import Users, person
from platform_api.settings import AuthSettings, Settings, SettingsInvalid

PLATFORM_TENANT = "platform"


@dataclass(frozen=True, kw_only=True)
class SeedResult:
    """`generated_password` is there only when it was made just now: it is stored nowhere, show it once."""

    admin_email: str
    generated_password: str | None


async def seed(sessions: Sessions, settings: Settings) -> SeedResult:
    """Creates the platform's ADMIN with a tenant of their own, and brings the official templates up to date.

    Raises `SettingsInvalid` for a weak set password.
    """
    async with system_scope(sessions) as scope:
        await write_official_templates(scope)
    auth = settings.auth
    nothing_new = SeedResult(admin_email=auth.admin_email, generated_password=None)
    async with system_scope(sessions) as scope:
        if await Users(scope).find_by_email(auth.admin_email) is not None:
            return nothing_new
    password, generated = _password(auth)
    password_hash = await Passwords(rounds=auth.bcrypt_rounds).hash(password)
    async with system_scope(sessions) as scope:
        await Lockout(scope, auth.admin_email).hold()  # of several first starts at once one creates
        if await Users(scope).find_by_email(auth.admin_email) is not None:
            return nothing_new
        admin = await Users(scope).create(
            email=auth.admin_email, password_hash=password_hash, full_name="Administrator", role=PlatformRole.ADMIN
        )
        tenant = await Tenants(scope).create(PLATFORM_TENANT, owner_id=admin.id)
        await AuditLog(scope, tenant_id=tenant.id).record("user.create", "user", admin.id, after=person(admin))
    return SeedResult(admin_email=auth.admin_email, generated_password=password if generated else None)


def _password(auth: AuthSettings) -> tuple[str, bool]:
    if auth.admin_password is None:
        return f"{secrets.token_urlsafe(18)}-aA1", True
    password = auth.admin_password.get_secret_value()
    problems = password_problems(password)
    if problems:
        raise SettingsInvalid("\n".join(f"TURBOCAT_ADMIN_PASSWORD: {problem.message}" for problem in problems))
    return password, False
