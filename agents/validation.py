"""Checks an agent's config when it is saved, without loading an executor (the API process imports this)."""

from collections.abc import Callable, Mapping
from typing import Any

from agents.api.config import api_problems
from agents.code.config import code_problems
from agents.data.config import data_problems
from agents.errors import Problem
from agents.llm.config import llm_problems
from agents.spec import AgentType
from agents.workflow.config import workflow_problems

ConfigCheck = Callable[[dict[str, Any]], list[Problem]]

CHECKS: Mapping[AgentType, ConfigCheck] = {
    AgentType.API: api_problems,
    AgentType.CODE: code_problems,
    AgentType.DATA: data_problems,
    AgentType.LLM: llm_problems,
    AgentType.WORKFLOW: workflow_problems,
}


def config_problems(kind: AgentType, config: dict[str, Any]) -> list[Problem]:
    """All problems of `config` at once; paths are relative to the config (`operations[2].by`)."""
    return CHECKS[kind](config)
