"""What lists of agents are narrowed to."""

from uuid import UUID

from agents.spec import AgentType
from platform_api.db.enums import ResourceStatus
from platform_api.kit.fields import Search, Tag
from platform_api.kit.filters import Filters, Several


class AgentFilters(Filters):
    """What a list of agents is narrowed to; several types or statuses are alternatives, several tags all hold."""

    type: Several[AgentType] = ()
    status: Several[ResourceStatus] = ()
    tags: Several[Tag] = ()
    search: Search | None = None
    is_public: bool | None = None
    project_id: UUID | None = None
