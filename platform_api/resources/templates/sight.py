"""Who reads a template. Public means everybody; else the rules of the tenant hold."""

from dataclasses import dataclass
from uuid import UUID

from platform_api.access.principal import Principal
from platform_api.db.models import Template
from platform_api.errors import NotFound
from platform_api.resources.agents.visibility import check_changeable, check_readable

_NOBODY = UUID(int=0)


@dataclass(frozen=True)
class _Owned:
    """A template as the rules of visibility see it: it lies in no project. One without owner is the managers'."""

    user_id: UUID
    is_public: bool
    project_id: None = None


def check_in_sight(reader: Principal | None, template: Template) -> None:
    """Raises `NotFound` for a private one of another tenant, `Forbidden` for a colleague's."""
    if template.is_public:
        return
    if reader is None or reader.tenant_id != template.tenant_id:
        raise NotFound(f"There is no template {template.id}")
    check_readable(reader, _owned(template), "template")


def check_own(caller: Principal, template: Template) -> None:
    """Raises `Forbidden` for what is a colleague's; `template` is of the caller's tenant."""
    check_in_sight(caller, template)
    check_changeable(caller, _owned(template), "template")


def _owned(template: Template) -> _Owned:
    return _Owned(user_id=template.user_id or _NOBODY, is_public=template.is_public)
