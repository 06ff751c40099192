"""`/audit-logs`."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import AwareDatetime

from platform_api.access.dependencies import requires
from platform_api.access.permissions import Permission
from platform_api.access.scope import TenantScope
from platform_api.kit.envelope import page_of
from platform_api.kit.pagination import PagingDep
from platform_api.kit.schemas import PageEnvelope
from platform_api.kit.sorting import Sorting, sorting
from platform_api.resources.audit_log.repository import SORTABLE, AuditFilter
from platform_api.resources.audit_log.schemas import AuditEntry
from platform_api.resources.audit_log.service import AuditTrail

router = APIRouter(prefix="/audit-logs", tags=["Audit log"])


@router.get("")
async def list_audit_logs(
    scope: Annotated[TenantScope, requires(Permission.AUDIT_LOGS_READ)],
    paging: PagingDep,
    order: Annotated[Sorting, sorting(SORTABLE)],
    user_id: Annotated[UUID | None, Query(alias="userId")] = None,
    action: Annotated[str | None, Query(max_length=100)] = None,
    resource_type: Annotated[str | None, Query(alias="resourceType", max_length=100)] = None,
    resource_id: Annotated[UUID | None, Query(alias="resourceId")] = None,
    since: Annotated[AwareDatetime | None, Query(alias="from", description="Earliest time")] = None,
    until: Annotated[AwareDatetime | None, Query(alias="to", description="Time before which")] = None,
) -> PageEnvelope[AuditEntry]:
    """What happened in the tenant, newest first unless sorted otherwise."""
    filters = AuditFilter(
        user_id=user_id,
        action=action,
        resource_type=resource_type,
        resource_id=resource_id,
        since=since,
        until=until,
    )
    rows, total = await AuditTrail(scope).page(filters, paging, order)
    return page_of([AuditEntry.model_validate(row) for row in rows], total, paging)
