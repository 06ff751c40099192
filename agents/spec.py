"""What an agent is, as the executors see it: an immutable snapshot that travels inside a plan."""

from enum import StrEnum
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class AgentType(StrEnum):
    """The five kinds of agent."""

    CODE = "CODE"
    API = "API"
    LLM = "LLM"
    DATA = "DATA"
    WORKFLOW = "WORKFLOW"


class Limits(BaseModel):
    """Bounds of one run; where agent, workflow and project each set one, the tightest wins. Cost is in USD."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)

    max_tokens: int | None = Field(default=None, ge=1)
    max_cost: float | None = Field(default=None, ge=0)
    timeout_seconds: float | None = Field(default=None, gt=0, le=7 * 24 * 3600)

    def tightened(self, *others: "Limits") -> Self:
        """The same with the tightest of each bound that these and `others` set."""
        tightest = {}
        for name in Limits.model_fields:
            bounds = [value for each in (self, *others) if (value := getattr(each, name)) is not None]
            tightest[name] = min(bounds, default=None)
        return self.model_copy(update=tightest)


class AgentSpec(BaseModel):
    """One version of an agent. `config` is the user's JSON; its `{{ … }}` are still unfilled in a stored plan."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)

    id: str
    version: int
    name: str
    type: AgentType
    config: dict[str, Any]
    input_schema: dict[str, Any] | None = None
    output_schema: dict[str, Any] | None = None
    limits: Limits = Limits()
    project_id: str | None = None
    """Whose secrets its config may name, beside those of the whole tenant."""

    @property
    def has_network(self) -> bool:
        """Whether its program may reach out; other kinds of agents have no program."""
        return self.type is AgentType.CODE and bool(self.config.get("network"))
