"""Makes, shows, replaces and revokes keys.

One's keys are one's own; who manages the tenant sees and revokes everybody's, but never gets to know another user's
key: rotating one would be acting as that user.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from agents.errors import Problem
from platform_api.access.keys import NewKey, is_project_key, new_project_key, new_user_key
from platform_api.access.permissions import Permission
from platform_api.access.principal import PlatformRole
from platform_api.access.roles import allows
from platform_api.access.scope import TenantScope
from platform_api.db.models import ApiKey
from platform_api.errors import Forbidden, InvalidState, ValidationFailed
from platform_api.kit import clock
from platform_api.kit.ids import new_id
from platform_api.kit.pagination import Paging
from platform_api.kit.sorting import Sorting
from platform_api.resources.api_keys.repository import ApiKeyRepository
from platform_api.resources.api_keys.schemas import ApiKeyCreate, ApiKeyState, IssuedApiKey, in_future
from platform_api.resources.audit_log.service import AuditLog


class ApiKeyService:
    """Keys inside one scope."""

    def __init__(self, scope: TenantScope) -> None:
        self._scope = scope
        self._keys = ApiKeyRepository(scope)
        self._audit = AuditLog(scope)

    async def create(self, body: ApiKeyCreate) -> IssuedApiKey:
        """A key of the caller; raises `ValidationFailed` for scopes that the caller does not have."""
        problems = [*self._scope_problems(body.scopes), *self._expiry_problems(body)]
        if problems:
            raise ValidationFailed(f"The key has {len(problems)} problem(s); see details", details=problems)
        new = new_user_key()
        row = self._row(new, body.name, project_id=self._scope.caller.project_id)
        row.scopes = list(dict.fromkeys(body.scopes))
        row.expires_at = body.expires_at
        row.rate_limit_per_minute = body.rate_limit_per_minute
        return await self._issue(row, new)

    async def create_for_project(self, project_id: UUID, name: str) -> IssuedApiKey:
        """The key of a new project; it acts as AGENT inside it, as far as its maker's role in the tenant goes, and dies
        with the membership of its maker. What a key makes has that key's scopes and end."""
        new = new_project_key()
        row = self._row(new, name, project_id=project_id)
        caller = self._scope.caller
        row.scopes = None if caller.key_scopes is None else sorted(caller.key_scopes)
        row.expires_at = caller.key_expires_at
        return await self._issue(row, new)

    async def page(self, paging: Paging, order: Sorting) -> tuple[list[ApiKey], int]:
        """One page of the caller's keys, or of all for those who manage the tenant."""
        statement = self._keys.of(None if self._manages() else self._user_id())
        return await self._keys.page(statement, page=paging.page, page_size=paging.page_size, order_by=order.order_by)

    async def rotate(self, key_id: UUID) -> IssuedApiKey:
        """Replaces the key's secret; the former one is refused at once. Raises `InvalidState` for an expired key."""
        row = await self._for_change(key_id)
        is_projects = is_project_key(row.key_prefix)
        if row.user_id != self._user_id() and not is_projects:
            raise Forbidden("Only its owner rotates a user's key; revoke it instead")
        if is_projects and not allows(self._scope.caller, Permission.PROJECTS_CREATE):
            raise Forbidden("A project's key is given to those who may make projects; revoke it instead")
        self._check_not_wider(row)
        if not in_future(row.expires_at, clock.now()):
            raise InvalidState("This key has expired; make a new one")
        before = _state(row)
        new = new_project_key() if is_projects else new_user_key()
        row.user_id = self._user_id()
        row.key_prefix, row.key_hash = new.prefix, new.hash
        row.version += 1
        await self._keys.save(row)
        await self._audit.record("api-key.rotate", "api-key", row.id, before=before, after=_state(row))
        return _issued(row, new)

    async def revoke(self, key_id: UUID) -> None:
        """The key is refused at once and for ever."""
        row = await self._for_change(key_id)
        row.revoked_at = clock.now()
        await self._keys.soft_delete(row)
        await self._audit.record("api-key.revoke", "api-key", row.id, before=_state(row), after=None)

    async def _for_change(self, key_id: UUID) -> ApiKey:
        row = await self._keys.get(key_id, lock=True)
        if row.user_id != self._user_id() and not self._manages():
            raise Forbidden("This key is somebody else's: its owner and the tenant's administrators manage it")
        return row

    async def _issue(self, row: ApiKey, new: NewKey) -> IssuedApiKey:
        await self._keys.add(row)
        await self._audit.record("api-key.create", "api-key", row.id, before=None, after=_state(row))
        return _issued(row, new)

    def _row(self, new: NewKey, name: str, *, project_id: UUID | None) -> ApiKey:
        return ApiKey(
            id=new_id(),
            tenant_id=self._scope.tenant_id,
            user_id=self._user_id(),
            project_id=project_id,
            name=name,
            key_prefix=new.prefix,
            key_hash=new.hash,
        )

    def _scope_problems(self, scopes: Sequence[str]) -> list[Problem]:
        known = {permission.value: permission for permission in Permission}
        problems = []
        for position, scope in enumerate(scopes):
            if scope not in known:
                code, message = "UNKNOWN_SCOPE", "there is no such permission"
            elif not allows(self._scope.caller, known[scope]):
                code, message = "SCOPE_TOO_WIDE", f"you do not have {scope} yourself, so your key cannot have it"
            else:
                continue
            problems.append(Problem(path=f"scopes[{position}]", code=code, message=message))
        return problems

    def _expiry_problems(self, body: ApiKeyCreate) -> list[Problem]:
        if not in_future(body.expires_at, clock.now()):
            return [Problem(path="expiresAt", code="IN_THE_PAST", message="choose a time that is still to come")]
        if self._outlives_caller(body.expires_at):
            message = f"the key that you use ends at {self._scope.caller.key_expires_at}, and so does what it makes"
            return [Problem(path="expiresAt", code="OUTLIVES_ITS_MAKER", message=message)]
        return []

    def _outlives_caller(self, expires_at: datetime | None) -> bool:
        end = self._scope.caller.key_expires_at
        return end is not None and (expires_at is None or expires_at > end)

    def _check_not_wider(self, row: ApiKey) -> None:
        """A key never gets hold of one that may do more than it may itself."""
        if self._scope.caller.key_scopes is None:
            return
        if row.scopes is None or self._scope_problems(row.scopes) or self._outlives_caller(row.expires_at):
            raise Forbidden("The key that you use is limited to scopes, and this one may do more; log in to rotate it")

    def _manages(self) -> bool:
        caller = self._scope.caller
        return caller.manages_tenant or caller.platform_role is PlatformRole.ADMIN

    def _user_id(self) -> UUID:
        user_id = self._scope.caller.user_id
        if user_id is None:
            raise Forbidden("A project's key manages no keys; use a person's token or key")
        return user_id


def _issued(row: ApiKey, new: NewKey) -> IssuedApiKey:
    columns = {name: getattr(row, name) for name in IssuedApiKey.model_fields if name != "key"}
    return IssuedApiKey(**columns, key=new.text)


def _state(row: ApiKey) -> ApiKeyState:
    return ApiKeyState.model_validate(row)
