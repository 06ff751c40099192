"""Templates of agents, workflows and steps."""

from decimal import Decimal
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, Numeric
from sqlmodel import Field

from platform_api.db.enums import TemplateType
from platform_api.db.models.base import Changeable, Row
from platform_api.db.models.columns import big_count, choice, flag, json_object, json_value, reference, strings


class Template(Changeable, Row, table=True):
    """What a new agent, workflow or step can be made from. Only an official one may belong to no tenant."""

    __tablename__ = "templates"
    __table_args__: ClassVar[Any] = (
        Index("ix_templates_tags", "tags", postgresql_using="gin"),
        CheckConstraint("is_official OR tenant_id IS NOT NULL", name="owner"),
    )

    tenant_id: UUID | None = reference("tenants.id", "CASCADE")
    user_id: UUID | None = reference("users.id", "SET NULL")
    name: str
    description: str | None = None
    category: str = Field(index=True)
    type: TemplateType = choice(TemplateType, "template_type", index=True)
    definition: dict[str, Any] = json_object()
    parameters: dict[str, Any] | None = json_value()
    tags: list[str] = strings()
    is_official: bool = flag(False, index=True)
    is_public: bool = flag(False, index=True)
    usage_count: int = big_count(index=True)
    rating: Decimal | None = Field(default=None, sa_type=Numeric(3, 2))
