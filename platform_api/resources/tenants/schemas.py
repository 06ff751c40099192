"""Tenants in the contract."""

from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, StringConstraints

from agents.egress.hosts import entry_problem
from platform_api.access.principal import TenantRole
from platform_api.kit.fields import Version
from platform_api.kit.schemas import Body, UtcTime, View

MAX_NAME = 120
MAX_HOSTS = 200
CODE_EGRESS = "codeEgress"
"""The setting that lists hosts which programs of CODE agents may reach; none without it."""
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


def _settings(settings: dict[str, Any]) -> dict[str, Any]:
    entries = settings.get(CODE_EGRESS, [])
    if not isinstance(entries, list) or not all(isinstance(entry, str) for entry in entries):
        raise ValueError(f"`{CODE_EGRESS}` is a list of hosts, such as `api.example.com`")
    if len(entries) > MAX_HOSTS:
        raise ValueError(f"`{CODE_EGRESS}` has at most {MAX_HOSTS} entries")
    for entry in entries:
        if (problem := entry_problem(entry)) is not None:
            raise ValueError(f"`{CODE_EGRESS}`: {problem}")
    return settings


class TenantPatch(Body):
    """What may change; a `version` makes the change conditional on it."""

    name: TenantName | None = None
    settings: Annotated[dict[str, Any], AfterValidator(_settings)] | None = None
    """Free, but for what the platform reads itself: `codeEgress`, the hosts that programs of CODE agents may reach."""
    version: Version | None = None
