"""What can be done with LLM providers. Nothing here gives credentials back; that is `keyring`'s, inside the worker."""

import json
from typing import Any
from uuid import UUID

from agents.errors import Problem
from agents.llm.fake import Script
from agents.problems import model_problems
from agents.providers.provider import Provider, ProviderKind
from platform_api.access.scope import TenantScope
from platform_api.db.changes import differing, write
from platform_api.db.models import LlmProvider
from platform_api.db.repository import check_version
from platform_api.errors import Conflict, ValidationFailed
from platform_api.kit.crypto import Cipher
from platform_api.kit.ids import new_id
from platform_api.kit.pagination import Paging
from platform_api.kit.sorting import Sorting
from platform_api.resources.audit_log.service import AuditLog
from platform_api.resources.llm_providers.addresses import address_problems
from platform_api.resources.llm_providers.prices import described, price_views
from platform_api.resources.llm_providers.repository import LlmProviderRepository
from platform_api.resources.llm_providers.schemas import (
    MASK,
    Credentials,
    LlmProviderCreate,
    LlmProviderState,
    LlmProviderUpdate,
    LlmProviderView,
    ModelFields,
    ProviderFilters,
    exact,
)
from platform_api.resources.secrets.sealing import seal_credentials

_CONTENT = frozenset(LlmProviderCreate.model_fields) - {"kind", "credentials"}


class LlmProviderService:
    """Providers inside one scope; `egress_allow` is what the operator lets tenants reach."""

    def __init__(self, scope: TenantScope, egress_allow: tuple[str, ...] = ()) -> None:
        self._scope = scope
        self._allow = egress_allow
        self._providers = LlmProviderRepository(scope)
        self._audit = AuditLog(scope)

    async def create(self, body: LlmProviderCreate, cipher: Cipher) -> LlmProvider:
        """Stores a provider; raises `ValidationFailed` with every problem, `Conflict` when the name is taken."""
        provider = LlmProvider(
            id=new_id(), tenant_id=self._scope.tenant_id, version=1, kind=body.kind, **_columns(body, _CONTENT)
        )
        await self._check(provider, [])
        await self._check_free(provider.name)
        _put(body.credentials, provider, cipher)
        await self._providers.add(provider)
        await self._audit.record("llm-provider.create", "llm-provider", provider.id, after=_state(provider))
        return provider

    async def page(self, filters: ProviderFilters, paging: Paging, order: Sorting) -> tuple[list[LlmProvider], int]:
        """One page of the tenant's providers."""
        statement = self._providers.filtered(filters)
        return await self._providers.page(
            statement, page=paging.page, page_size=paging.page_size, order_by=order.order_by
        )

    async def get(self, provider_id: UUID) -> LlmProvider:
        """One provider of the tenant."""
        return await self._providers.get(provider_id)

    async def update(
        self, provider_id: UUID, body: LlmProviderUpdate, cipher: Cipher, *, expected: int | None
    ) -> LlmProvider:
        """Changes what the body names."""
        provider = await self._providers.get(provider_id, lock=True)
        check_version(provider.version, expected)
        changed = differing(provider, _columns(body, _CONTENT & body.model_fields_set))
        rekeyed = "credentials" in body.model_fields_set and body.credentials != MASK
        if not changed and not rekeyed and body.kind in (None, provider.kind):
            return provider
        before = _state(provider)
        problems = _unkept(provider, changed, body, rekeyed=rekeyed)
        renamed = "name" in changed
        write(provider, changed)
        await self._check(provider, problems)
        if renamed:
            await self._check_free(provider.name)
        if rekeyed:
            _put(body.credentials, provider, cipher)
        provider.version += 1
        await self._providers.save(provider)
        after = _state(provider)
        await self._audit.record("llm-provider.update", "llm-provider", provider.id, before=before, after=after)
        return provider

    async def delete(self, provider_id: UUID, *, expected: int | None) -> None:
        """Takes the provider out of sight and destroys its credentials: what was deleted cannot leak later."""
        provider = await self._providers.get(provider_id, lock=True)
        check_version(provider.version, expected)
        before = _state(provider)
        provider.credentials = None
        await self._providers.soft_delete(provider)
        await self._audit.record("llm-provider.delete", "llm-provider", provider.id, before=before)

    async def _check(self, provider: LlmProvider, problems: list[Problem]) -> None:
        found = [*problems, *await address_problems(provider.kind, provider.base_url, self._allow)]
        if provider.kind is ProviderKind.FAKE:
            found += [each.under("script") for each in model_problems(Script, provider.script)]
        elif provider.script:
            found.append(Problem(path="script", code="NOT_ALLOWED", message="only a FAKE provider has a script"))
        if found:
            raise ValidationFailed(f"The provider has {len(found)} problem(s); see details", details=found)

    async def _check_free(self, name: str) -> None:
        with self._scope.session.no_autoflush:
            taken = await self._providers.is_named(name)
        if taken:
            message = "A provider of this name exists; choose another name"
            raise Conflict(message, details=[Problem(path="name", code="TAKEN", message=message)])


class LlmProviderLookup:
    """Providers as the slices above reckon with them, without their credentials."""

    def __init__(self, scope: TenantScope) -> None:
        self._providers = LlmProviderRepository(scope)

    async def usable(self) -> list[Provider]:
        """The active ones, by priority."""
        return [described(provider) for provider in await self._providers.active()]


def shown(provider: LlmProvider) -> LlmProviderView:
    """The provider as answers show it."""
    columns = {name: getattr(provider, name) for name in LlmProviderView.model_fields if name not in _DERIVED}
    credentials = MASK if provider.credentials is not None else None
    return LlmProviderView.model_validate({**columns, "credentials": credentials, "prices": price_views(provider)})


_DERIVED = frozenset({"credentials", "prices"})


def _unkept(provider: LlmProvider, changed: dict[str, Any], body: LlmProviderUpdate, *, rekeyed: bool) -> list[Problem]:
    """Credentials go to nobody but whom they were given for: who changes the address has to know them."""
    problems = []
    if body.kind not in (None, provider.kind):
        message = f"A provider's kind cannot change; make a new provider of kind {body.kind}"
        problems.append(Problem(path="kind", code="IMMUTABLE", message=message))
    if "base_url" in changed and provider.credentials is not None and not rekeyed:
        message = "They were given for another address; send those for this one (or null) in the same body"
        problems.append(Problem(path="credentials", code="MISSING", message=message))
    return problems


def _put(given: Credentials | str | None, provider: LlmProvider, cipher: Cipher) -> None:
    if not isinstance(given, Credentials) or not (given.api_key or given.headers):
        provider.credentials = None
        return
    key = given.api_key.get_secret_value() if given.api_key else None
    headers = {name: value.get_secret_value() for name, value in given.headers.items()}
    seal_credentials(provider, json.dumps({"apiKey": key, "headers": headers}), cipher)


def _state(provider: LlmProvider) -> LlmProviderState:
    """What the audit log keeps; the version tells that credentials were replaced."""
    return LlmProviderState.model_validate(provider)


def _columns(body: LlmProviderCreate | LlmProviderUpdate, names: frozenset[str] | set[str]) -> dict[str, Any]:
    columns = {name: getattr(body, name) for name in names}
    if "models" in columns:
        columns["models"] = [_model(model) for model in body.models]
    return columns


def _model(model: ModelFields) -> dict[str, Any]:
    """As `ProviderModel` reads it; prices are kept as texts, exact."""
    price = model.price.model_dump() if model.price is not None else None
    kept = {name: str(exact(amount)) for name, amount in (price or {}).items() if amount is not None}
    aliases = {"aliases": model.aliases} if model.aliases else {}
    return {"name": model.name, **({"price": kept} if price is not None else {}), **aliases}
