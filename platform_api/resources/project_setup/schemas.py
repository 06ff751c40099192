"""What clients send to make a project, and get."""

from pydantic import Field

from platform_api.kit.schemas import View
from platform_api.resources.agents.schemas import AgentCreate, AgentView
from platform_api.resources.projects.schemas import ProjectFields, ProjectView


class ProjectCreate(ProjectFields):
    """A new project, and where wanted its first agent."""

    agent: AgentCreate | None = Field(default=None, description="an agent to make inside the project")


class ProjectCreated(View):
    """A new project with its key, which is shown in this answer and never again."""

    project: ProjectView
    agent: AgentView | None
    api_key: str
