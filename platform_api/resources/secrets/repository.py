"""Secrets and key checks in the database, as ciphertext."""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import ColumnElement, Integer, Select, cast, delete, func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from platform_api.db.models import KeyCheck, LlmProvider, Project, Secret
from platform_api.db.repository import Repository
from platform_api.kit.crypto import VERSION_BYTES


class SecretRepository(Repository[Secret]):
    """Secrets of one tenant."""

    model = Secret
    label = "secret"

    async def named(self, name: str, project_id: UUID | None, *, lock: bool = False) -> Secret | None:
        """The secret of that name, of the project or (None) of the whole tenant."""
        statement: Select[tuple[Secret]] = self.query().where(col(Secret.name) == name, _of(project_id))
        if lock:
            statement = statement.with_for_update()
        return (await self.session.execute(statement)).scalar_one_or_none()

    def of(self, project_id: UUID | None) -> Select[tuple[Secret]]:
        """Those of a project, or (None) of the whole tenant."""
        return self.query().where(_of(project_id))

    async def in_reach(self, project_id: UUID | None, names: Collection[str]) -> list[Secret]:
        """Those of `names` that a project may use: the tenant's first, then the project's own."""
        own = () if project_id is None else (project_id,)
        statement: Select[tuple[Secret]] = self.query().where(_in_reach(own), col(Secret.name).in_(names))
        found = await self.session.execute(statement.order_by(col(Secret.project_id).is_not(None)))
        return list(found.scalars())

    async def places_of_names(self, project_ids: Collection[UUID]) -> list[tuple[UUID | None, str]]:
        """Project (None for the whole tenant) and name of all that these projects, where they live, may use."""
        statement = select(col(Secret.project_id), col(Secret.name)).where(
            col(Secret.tenant_id) == self.tenant_id, _in_reach(project_ids)
        )
        return [(project_id, name) for project_id, name in (await self.session.execute(statement)).all()]

    async def remove(self, secret: Secret) -> None:
        """Destroys the ciphertext too: what was deleted cannot leak later."""
        await self.session.execute(delete(Secret).where(col(Secret.id) == secret.id))


class EncryptedRows:
    """Every tenant's ciphertexts and the checks of keys, for the system alone."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def checks(self) -> list[KeyCheck]:
        """One of each key that ciphertexts may be made with."""
        return list((await self._session.execute(select(KeyCheck))).scalars())

    async def add_check(self, check: KeyCheck) -> None:
        """Stores a check, unless another process that starts with the same key has just done so."""
        columns = {"id", "key_version", "ciphertext", "nonce"}
        statement = insert(KeyCheck).values(check.model_dump(include=columns)).on_conflict_do_nothing()
        await self._session.execute(statement)

    async def forget_checks(self, but: int) -> None:
        """Drops the checks of keys that nothing is encrypted with any more."""
        used = select(col(Secret.key_version))
        packed = select(_key_version()).where(col(LlmProvider.credentials).is_not(None))
        unused = delete(KeyCheck).where(
            col(KeyCheck.key_version) != but,
            col(KeyCheck.key_version).not_in(used),
            func.int4send(col(KeyCheck.key_version)).not_in(packed),
        )
        await self._session.execute(unused)

    async def outdated(self, newest: int, *, limit: int) -> list[Secret]:
        """Some secrets under another key than the newest, locked against changes."""
        statement = select(Secret).where(col(Secret.key_version) != newest).order_by(col(Secret.id)).limit(limit)
        return list((await self._session.execute(statement.with_for_update())).scalars())

    async def outdated_providers(self, newest: int, *, limit: int) -> list[LlmProvider]:
        """Some providers whose credentials are under another key, locked against changes."""
        outdated = _key_version() != func.int4send(cast(newest, Integer))
        statement = select(LlmProvider).where(outdated).order_by(col(LlmProvider.id)).limit(limit)
        return list((await self._session.execute(statement.with_for_update())).scalars())

    async def save(self) -> None:
        """Writes changed rows out."""
        await self._session.flush()


def _key_version() -> ColumnElement[bytes]:
    """Of a provider's credentials, as `Cipher.pack` writes it; as `int4send` does."""
    return func.substring(col(LlmProvider.credentials), 1, VERSION_BYTES)


def _of(project_id: UUID | None) -> ColumnElement[bool]:
    column = col(Secret.project_id)
    return column.is_(None) if project_id is None else column == project_id


def _in_reach(project_ids: Collection[UUID]) -> ColumnElement[bool]:
    living = select(col(Project.id)).where(col(Project.id).in_(project_ids), col(Project.deleted_at).is_(None))
    return or_(col(Secret.project_id).is_(None), col(Secret.project_id).in_(living))
