"""Projects, the secrets of tenants and projects, and how the keys that encrypt them are known again."""

from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import Index
from sqlmodel import Field

from platform_api.db.models.base import Changeable, Row, TenantRow
from platform_api.db.models.columns import LIVING, count, json_object, reference


class Project(Changeable, TenantRow, table=True):
    """Groups agents and workflows. `limits` is `{maxTokens, maxCost, timeoutSeconds}` per run, `budget`
    `{maxTokens, maxCost, period}` over all runs of a day, a month or ever (empty: none)."""

    __tablename__ = "projects"
    __table_args__: ClassVar[Any] = (
        Index("uq_projects_tenant_id_name", "tenant_id", "name", unique=True, postgresql_where=LIVING),
    )

    name: str
    description: str | None = None
    limits: dict[str, Any] = json_object()
    budget: dict[str, Any] = json_object()
    settings: dict[str, Any] = json_object()


class Secret(Changeable, TenantRow, table=True):
    """An encrypted value, of the whole tenant where `project_id` is None. Its plain text is never stored."""

    __tablename__ = "secrets"
    __table_args__: ClassVar[Any] = (
        Index(
            "uq_secrets_tenant_id_project_id_name",
            "tenant_id",
            "project_id",
            "name",
            unique=True,
            postgresql_where=LIVING,
            postgresql_nulls_not_distinct=True,
        ),
    )

    project_id: UUID | None = reference("projects.id", "CASCADE")
    name: str
    ciphertext: bytes
    nonce: bytes
    key_version: int = count(1)


class KeyCheck(Row, table=True):
    """A known text, encrypted with each key that this database's ciphertexts are made with. Belongs to no tenant."""

    __tablename__ = "key_checks"

    key_version: int = Field(index=True, unique=True)
    ciphertext: bytes
    nonce: bytes
