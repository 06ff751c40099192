"""Keeps, lists and destroys secrets. Nothing here gives a value back; that is `vault`'s, inside the worker."""

from typing import Any
from uuid import UUID

from platform_api.access.scope import TenantScope
from platform_api.db.models import Secret
from platform_api.errors import Forbidden, NotFound
from platform_api.kit.crypto import Cipher
from platform_api.kit.ids import new_id
from platform_api.kit.pagination import Paging
from platform_api.kit.sorting import Sorting
from platform_api.resources.audit_log.service import AuditLog
from platform_api.resources.projects.service import ProjectService
from platform_api.resources.secrets.repository import SecretRepository
from platform_api.resources.secrets.sealing import seal


class SecretService:
    """Secrets of one project, or (None) of the whole tenant, inside one scope."""

    def __init__(self, scope: TenantScope, project_id: UUID | None = None) -> None:
        self._scope = scope
        self._project_id = project_id
        self._secrets = SecretRepository(scope)
        self._audit = AuditLog(scope)

    async def page(self, paging: Paging, order: Sorting) -> tuple[list[Secret], int]:
        """One page of them."""
        await self._check_place()
        statement = self._secrets.of(self._project_id)
        return await self._secrets.page(
            statement, page=paging.page, page_size=paging.page_size, order_by=order.order_by
        )

    async def put(self, name: str, value: str, cipher: Cipher) -> Secret:
        """Makes the secret or replaces its value."""
        await self._check_place(lock=True)
        secret = await self._secrets.named(name, self._project_id, lock=True)
        if secret is None:
            secret = self._new(name)
            seal(secret, value, cipher)
            await self._secrets.add(secret)
            await self._audit.record("secret.create", "secret", secret.id, after=_state(secret))
            return secret
        before = _state(secret)
        seal(secret, value, cipher)
        secret.version += 1
        await self._secrets.save(secret)
        await self._audit.record("secret.update", "secret", secret.id, before=before, after=_state(secret))
        return secret

    async def delete(self, name: str) -> None:
        """Destroys the secret; raises `NotFound`."""
        await self._check_place()
        secret = await self._secrets.named(name, self._project_id, lock=True)
        if secret is None:
            raise NotFound(f"There is no secret {name}")
        await self._secrets.remove(secret)
        await self._audit.record("secret.delete", "secret", secret.id, before=_state(secret))

    def _new(self, name: str) -> Secret:
        """A row that is sealed before it is stored."""
        return Secret(
            id=new_id(),
            tenant_id=self._scope.tenant_id,
            project_id=self._project_id,
            name=name,
            version=1,
            ciphertext=b"",
            nonce=b"",
        )

    async def _check_place(self, *, lock: bool = False) -> None:
        """The project must be there and the caller's to see; a key that is bound to one has no other."""
        if self._project_id is not None:
            await ProjectService(self._scope).get(self._project_id, lock=lock)
        elif self._scope.caller.project_id is not None:
            raise Forbidden("This key is bound to a project; the secrets of the whole tenant are out of its reach")


class SecretNames:
    """The names of secrets, for the slices that check what refers to them; works without a caller too."""

    def __init__(self, scope: TenantScope) -> None:
        self._secrets = SecretRepository(scope)

    async def known(self, *project_ids: UUID | None) -> dict[str | None, frozenset[str]]:
        """What something in each of these projects may name, by the project's id as text; None is in no project."""
        places = await self._secrets.places_of_names({each for each in project_ids if each is not None})
        return {
            str(wanted) if wanted is not None else None: frozenset(
                name for project_id, name in places if project_id in (None, wanted)
            )
            for wanted in project_ids
        }


def _state(secret: Secret) -> dict[str, Any]:
    """What the audit log keeps; the version tells that a value was replaced."""
    return {"name": secret.name, "project_id": secret.project_id, "version": secret.version}
