"""Making users, one's own profile, one's own password."""

import unicodedata
from contextlib import suppress
from typing import Any
from uuid import UUID

from email_validator import EmailNotValidError, validate_email

from agents.errors import Problem
from platform_api.access.passwords import password_problems
from platform_api.access.principal import PlatformRole
from platform_api.access.scope import AccountScope, SystemScope, TenantScope
from platform_api.db.changes import differing, write
from platform_api.db.models import User
from platform_api.db.repository import check_version
from platform_api.errors import Conflict, Forbidden, ValidationFailed
from platform_api.kit import clock
from platform_api.resources.audit_log.service import AuditLog
from platform_api.resources.tenants.schemas import TenantMembership
from platform_api.resources.tenants.service import Tenants
from platform_api.resources.users.repository import ProfileRepository, UserRepository
from platform_api.resources.users.schemas import ProfilePatch


class Users:
    """Users before anybody is logged in: registration, login, seed."""

    def __init__(self, scope: SystemScope) -> None:
        self._users = UserRepository(scope.session)

    async def find_by_email(self, email: str) -> User | None:
        """The user of an address, however it is written."""
        return await self._users.find_by_email(normalise_email(email))

    async def find(self, user_id: UUID) -> User | None:
        """The user, or None."""
        return await self._users.find(user_id)

    async def get(self, user_id: UUID, *, lock: bool = False) -> User:
        """The user; raises `NotFound`."""
        return await self._users.get(user_id, lock=lock)

    async def create(
        self, *, email: str, password_hash: str, full_name: str, role: PlatformRole = PlatformRole.USER
    ) -> User:
        """A new user; raises `Conflict` for a taken address."""
        address = normalise_email(email)
        if await self._users.find_by_email(address) is not None:
            taken = Problem(path="email", code="TAKEN", message="There is an account with this address already")
            raise Conflict("There is an account with this address already", details=[taken])
        return await self._users.add(
            User(email=address, password_hash=password_hash, full_name=full_name.strip(), role=role)
        )

    async def set_password(self, user_id: UUID, password_hash: str) -> None:
        """Replaces the password's hash."""
        user = await self._users.get(user_id, lock=True)
        user.password_hash = password_hash
        user.version += 1
        await self._users.save()

    async def mark_verified(self, user_id: UUID) -> None:
        """The address is theirs; the first proof is the one that is kept."""
        user = await self._users.get(user_id, lock=True)
        if user.email_verified_at is None:
            user.email_verified_at = clock.now()
            user.version += 1
            await self._users.save()


class Profile:
    """The caller themselves; a project's key is nobody."""

    def __init__(self, scope: TenantScope) -> None:
        self._scope = scope
        self._profiles = ProfileRepository(scope.session)

    async def get(self) -> User:
        """The caller."""
        return await self._profiles.get(self._own_id())

    async def update(self, patch: ProfilePatch, *, expected: int | None) -> User:
        """Changes what the patch names; raises `VersionConflict`."""
        user = await self._profiles.get(self._own_id(), lock=True)
        check_version(user.version, expected)
        wanted = patch.model_dump(mode="json", exclude_unset=True, exclude={"version"})
        wanted = {name: value for name, value in wanted.items() if value is not None or name == "avatar_url"}
        changes = differing(user, wanted)
        if not changes:
            return user
        before = write(user, changes)
        user.version += 1
        await AuditLog(self._scope).record("user.update", "user", user.id, before=before, after=changes)
        return await self._profiles.save(user)

    def _own_id(self) -> UUID:
        user_id = self._scope.caller.user_id
        if user_id is None:
            raise Forbidden("A project's key has no profile")
        return user_id


async def own_tenants(scope: AccountScope) -> list[TenantMembership]:
    """Where the caller may switch to."""
    user_id = scope.principal.user_id
    if user_id is None:
        raise Forbidden("A project's key belongs to one tenant alone")
    found = await Tenants(scope).of_user(user_id)
    return [TenantMembership(id=tenant.id, slug=tenant.slug, name=tenant.name, role=role) for tenant, role in found]


def normalise_email(email: str) -> str:
    """One spelling per address: composed characters, no surrounding space, lower case, and the domain as it is read
    (`münchen.example`, not `xn--…`). What is no address stays a text that nobody has."""
    written = unicodedata.normalize("NFC", email).strip()
    with suppress(EmailNotValidError):
        written = validate_email(written, check_deliverability=False).normalized
    return unicodedata.normalize("NFC", written.lower())  # lower case may compose where upper case does not


def person(user: User) -> dict[str, Any]:
    """What the audit log keeps of a new user."""
    return {"email": user.email, "full_name": user.full_name, "role": user.role}


def check_new_password(password: str, *, path: str) -> None:
    """Raises `ValidationFailed` with every rule that is broken."""
    problems = password_problems(password, path=path)
    if problems:
        raise ValidationFailed("The password is not strong enough", details=problems)
