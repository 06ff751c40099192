"""The permission table by itself."""

import pytest

from platform_api.access.permissions import Permission
from platform_api.access.principal import PlatformRole, Principal, TenantRole, Via
from platform_api.access.roles import GRANTS, allows
from platform_api.kit.ids import new_id


def caller(
    role: TenantRole | None, platform_role: PlatformRole = PlatformRole.USER, scopes: frozenset[str] | None = None
) -> Principal:
    return Principal(
        tenant_id=new_id(),
        user_id=new_id(),
        platform_role=platform_role,
        tenant_role=role,
        via=Via.TOKEN,
        key_scopes=scopes,
    )


def test_the_table_knows_every_permission_and_they_are_alphabetical() -> None:
    assert list(GRANTS) == list(Permission) == sorted(Permission)


@pytest.mark.parametrize("permission", Permission)
def test_a_higher_role_may_what_a_lower_one_may(permission: Permission) -> None:
    ladder = [TenantRole.VIEWER, TenantRole.EDITOR, TenantRole.ADMIN, TenantRole.OWNER]
    rights = [allows(caller(role), permission) for role in ladder]
    assert rights == sorted(rights)


def test_a_viewer_changes_only_what_is_their_own() -> None:
    granted = {permission for permission in Permission if allows(caller(TenantRole.VIEWER), permission)}
    changing = {each for each in granted if not each.value.endswith(":read")}
    own_keys = {Permission.API_KEYS_CREATE, Permission.API_KEYS_DELETE, Permission.API_KEYS_UPDATE}
    own_place = {Permission.MEMBERS_DELETE, Permission.SESSIONS_DELETE, Permission.SESSIONS_SWITCH}
    asked = {Permission.EXECUTIONS_RESUME}  # anybody may be asked; the step's `assignees` say who is
    assert changing == {Permission.PROFILE_UPDATE, *own_place, *own_keys, *asked}


def test_the_tenants_admin_is_not_the_platforms() -> None:
    assert not allows(caller(TenantRole.ADMIN), Permission.USERS_READ)
    assert allows(caller(TenantRole.VIEWER, PlatformRole.ADMIN), Permission.USERS_READ)


def test_a_machine_manages_nothing() -> None:
    machine = caller(None, PlatformRole.AGENT)
    granted = {permission for permission in Permission if allows(machine, permission)}
    verbs = {permission.value.split(":")[1] for permission in granted - {Permission.EVENTS_CREATE}}
    assert verbs == {"read", "execute", "cancel", "delete", "resume"}
    withheld = ("users", "profile", "audit", "api-keys", "secrets", "llm-providers")
    assert not any(allows(machine, each) for each in Permission if each.value.startswith(withheld))


def test_a_machine_with_a_role_is_bound_by_it() -> None:
    assert not allows(caller(TenantRole.VIEWER, PlatformRole.AGENT), Permission.WORKFLOWS_EXECUTE)
    assert allows(caller(TenantRole.EDITOR, PlatformRole.AGENT), Permission.WORKFLOWS_EXECUTE)


def test_nobody_without_a_role_may_anything() -> None:
    assert not any(allows(caller(None), permission) for permission in Permission)


def test_scopes_narrow_even_the_platforms_admin() -> None:
    narrow = caller(TenantRole.OWNER, PlatformRole.ADMIN, frozenset({"agents:read"}))
    assert [each for each in Permission if allows(narrow, each)] == [Permission.AGENTS_READ]
