"""Gives out the values of secrets: to runs, inside the worker, and to nobody else."""

from collections.abc import Collection
from uuid import UUID

from agents.errors import AgentError
from platform_api.access.scope import tenant_scope
from platform_api.db.engine import Sessions
from platform_api.kit.crypto import Cipher, DecryptionFailed
from platform_api.resources.secrets.repository import SecretRepository
from platform_api.resources.secrets.sealing import unseal


class Vault:
    """The secrets of one tenant, as the runtime's port `Secrets` wants them."""

    def __init__(self, sessions: Sessions, tenant_id: UUID, cipher: Cipher) -> None:
        self._sessions = sessions
        self._tenant_id = tenant_id
        self._cipher = cipher

    async def resolve(self, names: Collection[str], project_id: str | None) -> dict[str, str]:
        """The values of those of `names` that there are; the project's secret goes before the tenant's."""
        if not names:
            return {}
        async with tenant_scope(self._sessions, self._tenant_id) as scope:
            found = await SecretRepository(scope).in_reach(UUID(project_id) if project_id else None, names)
        by_name = {secret.name: secret for secret in found}
        try:
            return {name: unseal(secret, self._cipher) for name, secret in by_name.items()}
        except DecryptionFailed as failed:
            raise AgentError(str(failed), code="SECRET_UNREADABLE", hint="store the secret again") from failed
