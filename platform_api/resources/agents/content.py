"""Between an agent's row, its frozen versions, and what is shown of it."""

from typing import Any

from platform_api.db.enums import ResourceStatus
from platform_api.db.models import Agent
from platform_api.resources.agents.schemas import AgentHealth, AgentSnapshot, AgentView, RuntimeState

_NAME_LENGTH = 200
_COPY = " (copy)"


def snapshot(agent: Agent) -> dict[str, Any]:
    """What a version freezes, as JSON."""
    return AgentSnapshot.model_validate(agent).model_dump(mode="json", by_alias=True)


def copy_name(name: str) -> str:
    """What a duplicate is called unless it is said; as long as a name may be."""
    return name[: _NAME_LENGTH - len(_COPY)] + _COPY


def agent_view(agent: Agent, seen: Any) -> AgentView:
    """The agent with what its runs tell of it; `seen` is a row of `AgentRepository.health_of`."""
    health = AgentHealth(
        runs=seen.runs,
        success_rate=seen.completed / seen.runs if seen.runs else None,
        last_run_at=seen.last_run_at,
        mean_duration_ms=seen.mean_duration_ms,
        consecutive_failures=seen.consecutive_failures,
    )
    derived = {"runtime_state", "health"}
    columns = {name: getattr(agent, name) for name in AgentView.model_fields if name not in derived}
    return AgentView(**columns, runtime_state=_state(agent, seen), health=health)


def _state(agent: Agent, seen: Any) -> RuntimeState:
    if seen.running:
        return RuntimeState.RUNNING
    if seen.paused:
        return RuntimeState.PAUSED
    return RuntimeState.IDLE if agent.status is ResourceStatus.ACTIVE else RuntimeState.STOPPED
