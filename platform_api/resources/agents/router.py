"""`/agents`."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Query, Response, status

from platform_api.access.dependencies import requires
from platform_api.access.permissions import Permission
from platform_api.access.recorded_route import RecordedRoute
from platform_api.access.scope import TenantScope
from platform_api.db.models import Agent
from platform_api.kit.envelope import errors, ok, page_of
from platform_api.kit.locking import IfMatch, etag, expected_version
from platform_api.kit.pagination import PagingDep
from platform_api.kit.schemas import Envelope, PageEnvelope
from platform_api.kit.sorting import Sorting, sorting
from platform_api.resources.agents.filters import AgentFilters
from platform_api.resources.agents.schemas import (
    AgentCopy,
    AgentCreate,
    AgentReplace,
    AgentUpdate,
    AgentVersionView,
    AgentView,
)
from platform_api.resources.agents.service import AgentService

router = APIRouter(prefix="/agents", tags=["Agents"], route_class=RecordedRoute)

Reader = Annotated[TenantScope, requires(Permission.AGENTS_READ)]
Creator = Annotated[TenantScope, requires(Permission.AGENTS_CREATE)]
Editor = Annotated[TenantScope, requires(Permission.AGENTS_UPDATE)]
Deleter = Annotated[TenantScope, requires(Permission.AGENTS_DELETE)]
CopyDep = Annotated[AgentCopy, Body(default_factory=AgentCopy)]
SORTABLE = {"createdAt": Agent.created_at, "updatedAt": Agent.updated_at, "name": Agent.name, "status": Agent.status}


@router.post("", status_code=status.HTTP_201_CREATED, responses=errors(400, 401, 403))
async def create_agent(body: AgentCreate, scope: Creator, response: Response) -> Envelope[AgentView]:
    """Makes an agent in status DRAFT; every problem of its config and schemas is reported at once, with its path."""
    return await _answer(scope, await AgentService(scope).create(body), response)


@router.get("", responses=errors(400, 401, 403))
async def list_agents(
    scope: Reader,
    filters: Annotated[AgentFilters, Query()],
    paging: PagingDep,
    order: Annotated[Sorting, sorting(SORTABLE)],
) -> PageEnvelope[AgentView]:
    """The tenant's agents that the caller reads: one's own, the public ones, and all for administrators."""
    service = AgentService(scope)
    agents, total = await service.page(filters, paging, order)
    return page_of(await service.shown(agents), total, paging)


@router.get("/{agent_id}", responses=errors(400, 401, 403, 404))
async def get_agent(agent_id: UUID, scope: Reader, response: Response) -> Envelope[AgentView]:
    """One agent, with what it is doing now and how its newest runs went."""
    return await _answer(scope, await AgentService(scope).get(agent_id), response)


@router.patch("/{agent_id}", responses=errors(400, 401, 403, 404, 409))
async def update_agent(
    agent_id: UUID, body: AgentUpdate, scope: Editor, response: Response, if_match: IfMatch = None
) -> Envelope[AgentView]:
    """Changes what the body names; each change is a new version. Status goes DRAFT, ACTIVE, INACTIVE, ARCHIVED."""
    expected = expected_version(if_match, body.version)
    return await _answer(scope, await AgentService(scope).update(agent_id, body, expected=expected), response)


@router.put("/{agent_id}", responses=errors(400, 401, 403, 404, 409))
async def replace_agent(
    agent_id: UUID, body: AgentReplace, scope: Editor, response: Response, if_match: IfMatch = None
) -> Envelope[AgentView]:
    """Changes the whole agent to what the body says; what is left out falls back to its default."""
    expected = expected_version(if_match, body.version)
    return await _answer(scope, await AgentService(scope).replace(agent_id, body, expected=expected), response)


@router.delete("/{agent_id}", status_code=status.HTTP_204_NO_CONTENT, responses=errors(400, 401, 403, 404, 409))
async def delete_agent(agent_id: UUID, scope: Deleter, if_match: IfMatch = None) -> None:
    """Deletes an agent, unless an ACTIVE workflow uses it (409; `details` lists which)."""
    await AgentService(scope).delete(agent_id, expected=expected_version(if_match, None))


@router.post("/{agent_id}/duplicate", status_code=status.HTTP_201_CREATED, responses=errors(400, 401, 403, 404, 409))
async def duplicate_agent(agent_id: UUID, body: CopyDep, scope: Creator, response: Response) -> Envelope[AgentView]:
    """Makes a private DRAFT of the caller's with the same content; `parentId` is the source.

    Its version is the highest of the whole lineage and one more.
    """
    return await _answer(scope, await AgentService(scope).duplicate(agent_id, body), response)


@router.get("/{agent_id}/versions", responses=errors(400, 401, 403, 404))
async def list_agent_versions(agent_id: UUID, scope: Reader, paging: PagingDep) -> PageEnvelope[AgentVersionView]:
    """The versions of the agent's whole lineage (what it was duplicated from, and its duplicates), newest first.

    `agentId` says whose each is. Deleted members keep theirs; those of members that the caller may not read are left
    out.
    """
    versions, total = await AgentService(scope).versions(agent_id, paging)
    return page_of(map(AgentVersionView.model_validate, versions), total, paging)


async def _answer(scope: TenantScope, agent: Agent, response: Response) -> Envelope[AgentView]:
    response.headers["ETag"] = etag(agent.version)
    (shown,) = await AgentService(scope).shown([agent])
    return ok(shown)
