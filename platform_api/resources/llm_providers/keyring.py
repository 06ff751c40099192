"""Gives out a tenant's providers with their credentials opened: to runs, inside the worker, and to nobody else."""

import json
from dataclasses import replace
from uuid import UUID

from agents.errors import AgentError
from agents.providers.provider import Provider
from platform_api.access.scope import tenant_scope
from platform_api.db.engine import Sessions
from platform_api.db.models import LlmProvider
from platform_api.kit.crypto import Cipher, DecryptionFailed
from platform_api.resources.llm_providers.prices import described
from platform_api.resources.llm_providers.repository import LlmProviderRepository
from platform_api.resources.secrets.sealing import unseal_credentials


class Keyring:
    """The providers of one tenant, as executors want them; `only` is one that is tried out, active or not."""

    def __init__(self, sessions: Sessions, tenant_id: UUID, cipher: Cipher, *, only: UUID | None = None) -> None:
        self._sessions = sessions
        self._tenant_id = tenant_id
        self._cipher = cipher
        self._only = only

    async def usable(self) -> tuple[Provider, ...]:
        """The active ones, by priority, as they stand now."""
        async with tenant_scope(self._sessions, self._tenant_id) as scope:
            repository = LlmProviderRepository(scope)
            if self._only is None:
                found = await repository.active()
            else:
                provider = await repository.find(self._only)
                found = [provider] if provider is not None else []
        return tuple(map(self._opened, found))

    def _opened(self, provider: LlmProvider) -> Provider:
        try:
            opened = unseal_credentials(provider, self._cipher)
        except DecryptionFailed as failed:
            message = f"The credentials of the LLM provider {provider.name!r} cannot be opened: {failed}"
            raise AgentError(message, code="SECRET_UNREADABLE", hint="store them again") from failed
        if opened is None:
            return described(provider)
        given = json.loads(opened)
        return replace(described(provider), api_key=given["apiKey"], headers=given["headers"])
