"""The agents that models call: found in the configs of LLM agents, and in those of the agents found."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Protocol, TypeVar

from agents.errors import Problem
from agents.llm.config import tool_agents
from agents.spec import AgentSpec, AgentType


class Configured(Protocol):
    """An agent, as a plan freezes it or as it is stored."""

    @property
    def type(self) -> str: ...

    @property
    def config(self) -> dict[str, Any]: ...


Agent = TypeVar("Agent", bound=Configured)


def tools_of(agent: Configured) -> tuple[str, ...]:
    """The agents that its model may call, as they are written."""
    return tool_agents(agent.config) if agent.type == AgentType.LLM else ()


def all_tools(callers: Iterable[Agent], agents: Mapping[str, Agent]) -> dict[str, Agent]:
    """What `callers` call, and what these call, by the text that names them; those that nobody knows are left out."""
    found: dict[str, Agent] = {}
    waiting = list(callers)
    while waiting:
        for written in tools_of(waiting.pop()):
            agent = agents.get(written)
            if agent is not None and written not in found:
                found[written] = agent
                waiting.append(agent)
    return found


def tool_problems(spec: AgentSpec, agents: Mapping[str, AgentSpec]) -> Iterator[Problem]:
    """What keeps the model of an agent from calling the agents that its config names."""
    for place, written in enumerate(tools_of(spec)):
        path = f"tools[{place}].agentId"
        called = agents.get(written)
        if called is None:
            message = f"there is no agent `{written}` that you may use"
            yield Problem(path=path, code="UNKNOWN_AGENT", message=message)
        elif called.type is AgentType.WORKFLOW:
            message = f"`{called.name}` runs a workflow, which a model cannot call; make the workflow call the model"
            yield Problem(path=path, code="BAD_TOOL", message=message)


def unknown_tools(agents: Collection[Configured], known: Collection[str]) -> set[str]:
    """What is called and not known yet."""
    return {written for agent in agents for written in tools_of(agent)} - set(known)
