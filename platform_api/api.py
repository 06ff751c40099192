"""The list of all routers, each under its URL."""

from fastapi import APIRouter, Depends, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts
from pydantic import BaseModel

from agents.errors import Problem
from platform_api.access.dependencies import count_address
from platform_api.contract.answers import BASE_PATH
from platform_api.contract.document import operation_id
from platform_api.errors import ValidationFailed
from platform_api.kit.asgi.messages import ScopeMap
from platform_api.kit.asgi.request_figures import UNROUTED
from platform_api.resources.agents.router import router as agents
from platform_api.resources.api_keys.router import router as api_keys
from platform_api.resources.artifacts.router import router as artifacts
from platform_api.resources.audit_log.router import router as audit_logs
from platform_api.resources.auth.router import router as auth
from platform_api.resources.budgets.router import router as budgets
from platform_api.resources.documentation.router import router as documentation
from platform_api.resources.estimates.router import router as estimates
from platform_api.resources.events.router import router as events
from platform_api.resources.executions.router import router as executions
from platform_api.resources.health.router import router as health
from platform_api.resources.llm_providers.router import router as llm_providers
from platform_api.resources.members.router import router as members
from platform_api.resources.project_setup.router import router as project_setup
from platform_api.resources.projects.router import router as projects
from platform_api.resources.provider_tests.router import router as provider_tests
from platform_api.resources.secrets.router import router as secrets
from platform_api.resources.sessions.router import router as sessions
from platform_api.resources.streams.router import router as streams
from platform_api.resources.templates.router import router as templates
from platform_api.resources.tenants.router import router as tenants
from platform_api.resources.users.router import router as users
from platform_api.resources.workflows.router import router as workflows


async def refuse_unknown_query(request: Request) -> None:
    """A query parameter that the route does not declare is a mistake worth telling, not to be ignored."""
    if not request.query_params:
        return
    known = _query_names(request.scope["route"].dependant)
    unknown = sorted(set(request.query_params) - known)
    if unknown:
        message = f"Unknown parameter; this path takes {', '.join(sorted(known)) or 'none'}"
        details = [Problem(path=name, code="UNKNOWN_FIELD", message=message) for name in unknown]
        raise ValidationFailed("The query is not valid", details=details)


def _query_names(dependant: Dependant) -> set[str]:
    names: set[str] = set()
    for field in dependant.query_params:
        annotation = field.field_info.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            names |= {each.alias or name for name, each in annotation.model_fields.items()}
        else:
            names.add(field.alias)
    for inner in dependant.dependencies:
        names |= _query_names(inner)
    return names


v1 = APIRouter(dependencies=[Depends(count_address), Depends(refuse_unknown_query)])
# /api/v1/auth, /api/v1/users/me/password
v1.include_router(auth)
# /api/v1/auth/sessions, /api/v1/auth/logout
v1.include_router(sessions)
# /api/v1/users
v1.include_router(users)
# /api/v1/tenants/current/members, /api/v1/tenants/current/invitations, /api/v1/auth/accept-invitation
v1.include_router(members)
# /api/v1/tenants
v1.include_router(tenants)
# /api/v1/audit-logs
v1.include_router(audit_logs)
# /api/v1/api-keys
v1.include_router(api_keys)
# /api/v1/projects
v1.include_router(project_setup)
v1.include_router(projects)
# /api/v1/projects/{id}/usage
v1.include_router(budgets)
# /api/v1/secrets, /api/v1/projects/{id}/secrets
v1.include_router(secrets)
# /api/v1/llm-providers
v1.include_router(llm_providers)
v1.include_router(provider_tests)
# /api/v1/agents
v1.include_router(agents)
# /api/v1/workflows
v1.include_router(workflows)
# /api/v1/agents/{id}/estimate, /api/v1/workflows/{id}/estimate
v1.include_router(estimates)
# /api/v1/templates
v1.include_router(templates)
# /api/v1/executions, /api/v1/workflows/{id}/execute, /api/v1/workflows/{id}/executions
v1.include_router(executions)
# /api/v1/executions/{id}/stream, /api/v1/executions/{id}/stream-token
v1.include_router(streams)
# /api/v1/executions/{id}/artifacts, /api/v1/artifacts/{id}
v1.include_router(artifacts)
# /api/v1/events
v1.include_router(events)
# /api/v1/docs, /api/v1/openapi.json
v1.include_router(documentation)

router = APIRouter(generate_unique_id_function=operation_id)
"""Its routes are shared by all applications of a process: making them ready costs a tenth of a second."""
# /health, /api/health, /ready
router.include_router(health)
router.include_router(v1, prefix=BASE_PATH)  # said of `v1` itself, it would make every route ready twice


_TEMPLATES = {id(context.original_route): str(context.path) for context in iter_route_contexts(router.routes)}
"""Asking for them makes the routes ready, so that no first request waits for it."""


def route_template(scope: ScopeMap) -> str:
    """The path of the route that a request met, with its parameters unfilled (`/api/v1/agents/{agent_id}`)."""
    return _TEMPLATES.get(id(scope.get("route")), UNROUTED)
