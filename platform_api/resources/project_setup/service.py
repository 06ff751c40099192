"""A project, its key and its first agent in one transaction: all of it is there, or nothing."""

from platform_api.access.permissions import Permission
from platform_api.access.roles import allows
from platform_api.access.scope import TenantScope
from platform_api.errors import Forbidden, ValidationFailed
from platform_api.resources.agents.schemas import AgentCreate, AgentView
from platform_api.resources.agents.service import AgentService
from platform_api.resources.api_keys.service import ApiKeyService
from platform_api.resources.project_setup.schemas import ProjectCreate, ProjectCreated
from platform_api.resources.projects.schemas import ProjectFields
from platform_api.resources.projects.service import ProjectService, shown


class ProjectSetup:
    """Makes projects inside one scope."""

    def __init__(self, scope: TenantScope) -> None:
        self._scope = scope
        self._projects = ProjectService(scope)
        self._keys = ApiKeyService(scope)
        self._agents = AgentService(scope)

    async def create(self, body: ProjectCreate) -> ProjectCreated:
        """Raises what each part raises; the paths of the agent's problems begin with `agent`."""
        if body.agent is not None and not allows(self._scope.caller, Permission.AGENTS_CREATE):
            raise Forbidden("The agent needs the permission agents:create, which your role or key does not have")
        fields = {name: getattr(body, name) for name in ProjectFields.model_fields}
        project = await self._projects.create(ProjectFields.model_construct(**fields))
        key = await self._keys.create_for_project(project.id, project.name)
        agent = None
        if body.agent is not None:
            agent = await self._agent(body.agent.model_copy(update={"project_id": project.id}))
        return ProjectCreated(project=shown(project), agent=agent, api_key=key.key)

    async def _agent(self, body: AgentCreate) -> AgentView:
        try:
            (view,) = await self._agents.shown([await self._agents.create(body)])
        except ValidationFailed as invalid:
            details = [problem.under("agent") for problem in invalid.details]
            raise ValidationFailed(invalid.message, details=details) from invalid
        return view
