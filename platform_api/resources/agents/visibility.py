"""Who in a tenant reads, uses and changes what somebody owns there (agents, workflows, and what follows them).

Private (`isPublic: false`): the owner and those who manage the tenant. Public: every member reads and uses it, the
same few change it. A key of a project sees what lies in its project and nothing else; a project's own key, which
stands for no person, sees all of that.
"""

from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from platform_api.access.principal import PlatformRole, Principal
from platform_api.errors import Forbidden


class Owned(Protocol):
    """A row that has an owner inside its tenant."""

    @property
    def user_id(self) -> UUID: ...

    @property
    def project_id(self) -> UUID | None: ...

    @property
    def is_public(self) -> bool: ...


@dataclass(frozen=True, kw_only=True)
class Reach:
    """What a caller reads, for lists: of one project or all, and there the public rows and one user's, or all."""

    project_id: UUID | None
    user_id: UUID | None


def reach(caller: Principal) -> Reach:
    """`may_read` for whole lists."""
    return Reach(project_id=caller.project_id, user_id=None if _sees_all(caller) else caller.user_id)


def may_read(caller: Principal, row: Owned) -> bool:
    """Whether `caller` reads and uses `row`, which is of the caller's tenant."""
    return may_change(caller, row) or (row.is_public and _in_reach(caller, row))


def may_change(caller: Principal, row: Owned) -> bool:
    """Whether `row` is the caller's to change. Role permissions come on top of it."""
    return _in_reach(caller, row) and (_sees_all(caller) or row.user_id == caller.user_id)


def check_readable(caller: Principal, row: Owned, label: str) -> None:
    """Raises `Forbidden` when `row` is somebody else's private one."""
    if not may_read(caller, row):
        raise Forbidden(f"This {label} is private: ask its owner or an administrator of the tenant to share it")


def check_changeable(caller: Principal, row: Owned, label: str) -> None:
    """Raises `Forbidden` when `row` is not the caller's to change, public or not."""
    if not may_change(caller, row):
        raise Forbidden(f"Only its owner and the administrators of the tenant change this {label}")


def _in_reach(caller: Principal, row: Owned) -> bool:
    return caller.project_id is None or row.project_id == caller.project_id


def _sees_all(caller: Principal) -> bool:
    stands_for_project = caller.user_id is None
    return stands_for_project or caller.manages_tenant or caller.platform_role is PlatformRole.ADMIN
