"""Writes the audit log, in the transaction of what it tells of: neither is there without the other."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel
from pydantic.alias_generators import to_camel

from platform_api.access.principal import Principal, Via
from platform_api.access.scope import AccountScope, SystemScope, TenantScope
from platform_api.db import models
from platform_api.db.enums import ActorKind
from platform_api.kit import clock
from platform_api.kit.logging import is_secret_name
from platform_api.kit.pagination import Paging
from platform_api.kit.request_context import current_request
from platform_api.kit.schemas import zulu
from platform_api.kit.sorting import Sorting
from platform_api.resources.audit_log.repository import AuditFilter, AuditLogReader, AuditLogWriter

State = Mapping[str, Any] | BaseModel
_NEVER = frozenset({"ciphertext", "nonce", "env_vars", "envVars", "refresh_hash", "key_hash", "token_hash"})


class AuditLog:
    """`tenant_id` and `user_id` are the caller's unless given (a login has no caller yet)."""

    def __init__(self, scope: SystemScope, *, tenant_id: UUID | None = None, user_id: UUID | None = None) -> None:
        self._scope = scope
        self._writer = AuditLogWriter(scope.session)
        principal = _principal(scope)
        self._tenant_id = tenant_id or (principal.tenant_id if principal else getattr(scope, "tenant_id", None))
        self._user_id = user_id or (principal.user_id if principal else None)
        self._actor = _actor(principal, self._user_id)

    async def record(
        self,
        action: str,
        resource_type: str,
        resource_id: UUID | None,
        before: State | None = None,
        after: State | None = None,
    ) -> None:
        """Adds one entry (`agent.update`). What `before` and `after` keep has no secrets, and camelCase fields."""
        request = current_request()
        await self._writer.add(
            models.AuditLog(
                created_at=clock.now(),
                tenant_id=self._tenant_id,
                user_id=self._user_id,
                actor=self._actor,
                action=action,
                resource_type=resource_type,
                resource_id=resource_id,
                before=_shown(before),
                after=_shown(after),
                ip_address=request.ip_address,
                user_agent=request.user_agent,
                request_id=request.request_id,
            )
        )

    async def times_since(self, resource_type: str, resource_id: UUID, since: datetime) -> list[tuple[str, datetime]]:
        """Action and time of what happened to one resource after `since`, newest first."""
        return await self._writer.times_since(resource_type, resource_id, since)


class AuditTrail:
    """Reads the audit log of one tenant."""

    def __init__(self, scope: TenantScope) -> None:
        self._reader = AuditLogReader(scope)

    async def page(self, filters: AuditFilter, paging: Paging, order: Sorting) -> tuple[list[models.AuditLog], int]:
        """One page of the entries that the filters leave."""
        return await self._reader.filtered(filters, paging, order)


def _principal(scope: SystemScope) -> Principal | None:
    return scope.principal if isinstance(scope, TenantScope | AccountScope) else None


def _actor(principal: Principal | None, user_id: UUID | None) -> ActorKind:
    if principal is not None and principal.via is not Via.TOKEN:
        return ActorKind.KEY
    return ActorKind.USER if user_id is not None else ActorKind.SYSTEM


def _shown(state: State | None) -> dict[str, Any] | None:
    if state is None:
        return None
    plain = state.model_dump(mode="json", by_alias=True) if isinstance(state, BaseModel) else dict(state)
    return {to_camel(key): _without_secrets(value) for key, value in plain.items() if not _hidden(key)}


def _without_secrets(value: Any) -> Any:
    if isinstance(value, Mapping):
        kept = {str(key): each for key, each in value.items() if not _hidden(str(key))}
        if any(is_secret_name(str(kept.get(label))) for label in ("type", "name")):
            kept.pop("value", None)  # `{"type": "apiKey", "value": …}`, `{"name": "Authorization", "value": …}`
        return {key: _without_secrets(each) for key, each in kept.items()}
    if isinstance(value, list | tuple):
        return [_without_secrets(each) for each in value]
    if isinstance(value, datetime):
        return zulu(value)
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)


def _hidden(key: str) -> bool:
    return key in _NEVER or is_secret_name(key)
