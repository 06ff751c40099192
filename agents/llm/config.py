"""The config of an LLM agent.

{"model": "claude-sonnet-4-5", "systemPrompt": "You judge flights.", "prompt": "Was {{ inputs.flight }} late?",
 "responseSchema": {"type": "object", "required": ["late"], "properties": {"late": {"type": "boolean"}}}}
"""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from agents.errors import Problem
from agents.problems import is_template, model_problems, parse_config

MAX_TEXT = 2_000_000
MAX_MESSAGES = 1_000
MAX_TOOLS = 64
LITERAL_FIELDS = ("responseSchema", "tools")
"""What a run runs, and what its answer must fit, is settled when the agent is saved."""

_TOOL_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")

Text = Annotated[str, Field(max_length=MAX_TEXT)]


def _tool_name(name: str) -> str:
    if not _TOOL_NAME.fullmatch(name):
        raise ValueError("a tool's name is 1 to 64 letters, digits, `_` or `-`")
    return name


def _no_memory(value: Any) -> Any:
    if value is not None:
        raise ValueError("there is no memory beyond one run; hand earlier messages over in `messages`")
    return value


class _Part(BaseModel):
    """Errors never quote the input: it may hold a secret."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True, hide_input_in_errors=True
    )


class Message(_Part):
    """What was said before the prompt, oldest first."""

    role: Literal["system", "user", "assistant"]
    content: Text


class Tool(_Part):
    """An agent that the model may call; its `inputSchema` says with what. Unless it is said, it is named as the agent
    is."""

    agent_id: Annotated[str, Field(min_length=1, max_length=100)]
    name: Annotated[str, AfterValidator(_tool_name)] | None = None
    description: Annotated[str, Field(max_length=4_000)] | None = None


class LlmConfig(_Part):
    """What is asked of which model. `maxTokens` bounds one answer; the agent's `limits` bound all that it uses."""

    provider: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    """The name of the one provider to ask; without it those that offer the model are asked by priority."""
    model: Annotated[str, Field(min_length=1, max_length=200)]
    system_prompt: Text | None = None
    prompt: Text | None = None
    messages: Annotated[list[Message], Field(max_length=MAX_MESSAGES)] = []
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    max_tokens: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    response_schema: dict[str, Any] | None = None
    tools: Annotated[list[Tool], Field(max_length=MAX_TOOLS)] = []
    max_tool_rounds: Annotated[int, Field(ge=1, le=50)] = 8
    """How often the model may call tools before it has to answer."""
    memory: Annotated[None, BeforeValidator(_no_memory)] = None
    stream: bool = True
    """Whether the answer is shown while it comes in."""

    @model_validator(mode="after")
    def _asks_something(self) -> "LlmConfig":
        if not self.prompt and not self.messages:
            raise ValueError("give a `prompt`, or `messages`")
        names = [tool.name for tool in self.tools if tool.name]
        if len(set(names)) < len(names):
            raise ValueError("two `tools` have the same name; give each its own")
        return self


def llm_problems(config: dict[str, Any]) -> list[Problem]:
    """Everything wrong with the config of an LLM agent, but for its `responseSchema`, which is checked as schemas
    are."""
    return model_problems(LlmConfig, config) + [
        Problem(path=name, code="BAD_CONFIG", message="cannot be a template: it is settled when the agent is saved")
        for name in LITERAL_FIELDS
        if is_template(config.get(name))
    ]


def read_config(config: dict[str, Any]) -> LlmConfig:
    """For a run; raises `ConfigInvalid`."""
    return parse_config(LlmConfig, config)


def tool_agents(config: dict[str, Any]) -> tuple[str, ...]:
    """Ids of the agents that a saved config names as tools; nothing of what is not well formed."""
    tools = config.get("tools")
    named = (tool.get("agentId") for tool in tools if isinstance(tool, dict)) if isinstance(tools, list) else ()
    return tuple(dict.fromkeys(each for each in named if isinstance(each, str)))
