"""What lists of templates are narrowed to."""

from pydantic import Field

from platform_api.db.enums import TemplateType
from platform_api.kit.fields import Search, Tag
from platform_api.kit.filters import Filters, Several


class TemplateFilters(Filters):
    """Several types or categories are alternatives, several tags all hold."""

    category: Several[Tag] = Field(default=(), description="Of one of these categories")
    type: Several[TemplateType] = Field(default=(), description="That make one of these")
    is_official: bool | None = Field(default=None, description="Official ones, or all others")
    is_public: bool | None = Field(default=None, description="Public ones, or private ones")
    tags: Several[Tag] = ()
    search: Search | None = None
