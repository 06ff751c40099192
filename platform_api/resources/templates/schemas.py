"""What clients send and get about templates."""

from typing import Any
from uuid import UUID

from pydantic import ConfigDict, Field

from agents.spec import AgentType, Limits
from platform_api.db.enums import TemplateType
from platform_api.kit.fields import Description, JsonObject, Name, Tag, Tags, Version
from platform_api.kit.schemas import Body, UtcTime, View

EXAMPLE: dict[str, Any] = {
    "name": "Fetch JSON",
    "description": "Gets a JSON document from a URL.",
    "category": "api",
    "type": "AGENT",
    "parameters": {
        "type": "object",
        "properties": {"url": {"type": "string", "examples": ["https://example.com/data.json"]}},
        "required": ["url"],
    },
    "definition": {"type": "API", "config": {"method": "GET", "url": "{{ parameters.url }}", "responseType": "json"}},
    "tags": ["http"],
    "isPublic": False,
}
_DEFINITION = (
    "what is made. AGENT: an agent's `type`, `config` and the rest of `POST /agents`. WORKFLOW: `agents`, by keys of "
    "the template's own, and `workflow`, whose steps name those keys as `agentId`. STEP: `agents` and one `step`. "
    "`{{ parameters.name }}` stands for a value that whoever uses the template gives"
)
_PARAMETERS = "JSON Schema of those values, an object; `default` and `examples` let the template be checked in full"


class TemplateAgent(Body):
    """An agent inside a template."""

    name: Name
    description: Description | None = None
    type: AgentType
    config: JsonObject
    input_schema: JsonObject | None = None
    output_schema: JsonObject | None = None
    tags: Tags = Field(default_factory=list)
    limits: Limits = Field(default_factory=Limits)


class TemplateCreate(Body):
    """A new template."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    name: Name
    description: Description | None = None
    category: Tag = Field(description="one word, such as `data` or `api`")
    type: TemplateType
    definition: JsonObject = Field(description=_DEFINITION)
    parameters: JsonObject | None = Field(default=None, description=_PARAMETERS)
    tags: Tags = Field(default_factory=list)
    is_public: bool = Field(default=False, description="whether everybody sees and uses it, other tenants too")
    is_official: bool = Field(default=False, description="set by the platform's ADMIN alone")


class TemplateUpdate(Body):
    """Changes to a template: what is left out stays. The defaults below are never stored."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Fetch JSON", "isPublic": True, "version": 1}]})

    name: Name = Field(default_factory=str)
    description: Description | None = None
    category: Tag = Field(default_factory=str)
    type: TemplateType | None = Field(default=None, description="cannot change; accepted when it is the same")
    definition: JsonObject = Field(default_factory=dict, description=_DEFINITION)
    parameters: JsonObject | None = Field(default=None, description=_PARAMETERS)
    tags: Tags = Field(default_factory=list)
    is_public: bool = Field(default_factory=bool)
    is_official: bool = Field(default_factory=bool, description="set by the platform's ADMIN alone")
    version: Version | None = None


class Instantiation(Body):
    """What is to be made of a template."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "Exchange rates", "customizations": {"url": "https://example.com"}}]}
    )

    name: Name | None = Field(default=None, description="of the new agent or workflow; the template's when left out")
    customizations: JsonObject = Field(
        default_factory=dict, description="values of the template's `parameters`; defaults are applied"
    )


class TemplateSnapshot(View):
    """What the audit log keeps of a template."""

    name: str
    description: str | None
    category: str
    type: TemplateType
    definition: dict[str, Any]
    parameters: dict[str, Any] | None
    tags: list[str]
    is_official: bool
    is_public: bool


class TemplateView(View):
    """A template in a list."""

    id: UUID
    name: str
    description: str | None
    category: str
    type: TemplateType
    parameters: dict[str, Any] | None = Field(description="JSON Schema of what `customizations` may hold")
    tags: list[str]
    is_official: bool
    is_public: bool
    usage_count: int = Field(description="how often something was made of it")
    rating: float | None
    version: int
    created_at: UtcTime
    updated_at: UtcTime


class TemplateDetail(TemplateView):
    """A template with what it makes."""

    definition: dict[str, Any]
