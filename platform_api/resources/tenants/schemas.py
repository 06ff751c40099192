"""Tenants in the contract."""

from typing import Annotated, Any
from uuid import UUID

from pydantic import StringConstraints

from platform_api.access.principal import TenantRole
from platform_api.kit.fields import Version
from platform_api.kit.schemas import Body, UtcTime, View

MAX_NAME = 120
TenantName = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_NAME)]


class TenantView(View):
    """One tenant."""

    id: UUID
    slug: str
    name: str
    settings: dict[str, Any]
    version: int
    created_at: UtcTime
    updated_at: UtcTime


class TenantMembership(View):
    """A tenant that the caller may switch to, and their role in it."""

    id: UUID
    slug: str
    name: str
    role: TenantRole


class TenantPatch(Body):
    """What may change; a `version` makes the change conditional on it."""

    name: TenantName | None = None
    settings: dict[str, Any] | None = None
    version: Version | None = None
