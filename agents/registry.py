"""Kind of agent to executor. Imported by workers only: it loads Polars and everything else that executors need."""

from collections.abc import Mapping

from agents.api.executor import ApiExecutor
from agents.code.backends import selection
from agents.code.executor import CodeExecutor
from agents.code.selection import Selection
from agents.data.executor import DataExecutor
from agents.executor import Executor
from agents.llm.executor import LlmExecutor
from agents.spec import AgentType


def executors(sandboxes: Selection | None = None) -> Mapping[AgentType, Executor]:
    """A fresh set; executors may hold pools, so a process makes one set and keeps it."""
    return {
        AgentType.API: ApiExecutor(),
        AgentType.CODE: CodeExecutor(sandboxes or selection()),
        AgentType.DATA: DataExecutor(),
        AgentType.LLM: LlmExecutor(),
    }
