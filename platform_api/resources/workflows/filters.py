"""What lists of workflows are narrowed to."""

from uuid import UUID

from platform_api.db.enums import ResourceStatus
from platform_api.kit.fields import Search, Tag
from platform_api.kit.filters import Filters, Several


class WorkflowFilters(Filters):
    """What a list of workflows is narrowed to; several statuses are alternatives, several tags all hold."""

    status: Several[ResourceStatus] = ()
    tags: Several[Tag] = ()
    search: Search | None = None
    schedule_enabled: bool | None = None
    is_public: bool | None = None
    project_id: UUID | None = None
