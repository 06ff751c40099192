"""The config of a WORKFLOW agent.

{"workflowId": "0198c5a2-7c1e-7d30-9f5b-3a1c2e4d5f61", "version": 3, "inputs": {"path": "{{ inputs.path }}"}}
"""

from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from agents.errors import Problem
from agents.problems import is_template, model_problems, parse_config


class WorkflowConfig(BaseModel):
    """Without `version` the newest one is run; without `inputs` it is given those of the agent as they are."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True, hide_input_in_errors=True
    )

    workflow_id: UUID
    version: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = None
    inputs: dict[str, Any] | None = None


def workflow_problems(config: dict[str, Any]) -> list[Problem]:
    """Everything wrong with the config of a WORKFLOW agent."""
    problems = model_problems(WorkflowConfig, config)
    for name in ("workflowId", "version", "inputs"):
        if is_template(config.get(name)):
            message = "cannot be a template: what a run runs is settled when it starts"
            if name == "inputs":
                message = "is an object; its values may be templates"
            problems.append(Problem(path=name, code="BAD_CONFIG", message=message))
    return problems


def read_config(config: dict[str, Any]) -> WorkflowConfig:
    """The config of a saved agent; raises `ConfigInvalid`."""
    return parse_config(WorkflowConfig, config)
