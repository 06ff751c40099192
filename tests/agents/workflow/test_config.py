"""The config of WORKFLOW agents."""

from typing import Any

import pytest

from agents.spec import AgentType
from agents.validation import config_problems
from agents.workflow.config import read_config

ID = "0198c5a2-7c1e-7d30-9f5b-3a1c2e4d5f61"


def test_a_workflow_and_nothing_else_is_needed() -> None:
    assert config_problems(AgentType.WORKFLOW, {"workflowId": ID}) == []
    inputs = {"path": "{{ inputs.path }}", "n": [1]}
    assert config_problems(AgentType.WORKFLOW, {"workflowId": ID, "version": 3, "inputs": inputs}) == []
    config = read_config({"workflowId": ID, "version": 3})
    assert (str(config.workflow_id), config.version, config.inputs) == (ID, 3, None)


@pytest.mark.parametrize(
    ("config", "path", "code"),
    [
        ({}, "workflowId", "MISSING_FIELD"),
        ({"workflowId": "report"}, "workflowId", "BAD_CONFIG"),
        ({"workflowId": "{{ inputs.id }}"}, "workflowId", "BAD_CONFIG"),
        ({"workflowId": ID, "version": 0}, "version", "BAD_CONFIG"),
        ({"workflowId": ID, "version": "{{ inputs.v }}"}, "version", "BAD_CONFIG"),
        ({"workflowId": ID, "inputs": "{{ inputs }}"}, "inputs", "BAD_CONFIG"),
        ({"workflowId": ID, "input": {}}, "input", "UNKNOWN_FIELD"),
    ],
)
def test_what_is_refused(config: dict[str, Any], path: str, code: str) -> None:
    assert [(each.path, each.code) for each in config_problems(AgentType.WORKFLOW, config)] == [(path, code)]
