"""Bodies of templates."""

from typing import Any
from uuid import uuid4

PARAMETERS = {
    "type": "object",
    "properties": {
        "url": {"type": "string", "examples": ["https://example.com/a.json"]},
        "tries": {"type": "integer", "minimum": 1, "default": 3},
    },
    "required": ["url"],
}


def template_body(**fields: Any) -> dict[str, Any]:
    """A sound template of an API agent with two parameters."""
    config = {
        "method": "GET",
        "url": "{{ parameters.url }}?page={{ inputs.page }}",
        "headers": {"X-Tries": "at most {{ parameters.tries }}"},
        "retry": {"maxAttempts": "{{ parameters.tries }}"},
    }
    body = {
        "name": f"Template {uuid4().hex[:8]}",
        "category": "api",
        "type": "AGENT",
        "parameters": PARAMETERS,
        "definition": {"type": "API", "config": config, "tags": ["http"]},
    }
    return {**body, **fields}


def workflow_template_body(**fields: Any) -> dict[str, Any]:
    """A sound template of a workflow of two steps with one agent."""
    code = {"language": "python", "code": "def main(input):\n    return input\n"}
    definition = {
        "agents": {"echo": {"name": "Echo", "type": "CODE", "config": code}},
        "workflow": {
            "description": "twice",
            "tags": ["shape"],
            "steps": [
                {"stepKey": "first", "agentId": "echo", "inputs": {"greeting": "{{ parameters.greeting }}"}},
                {"stepKey": "second", "agentId": "echo", "dependsOn": ["first"], "inputs": {"a": "{{ first.output }}"}},
            ],
            "output": "{{ second.output }}",
        },
    }
    parameters = {"type": "object", "properties": {"greeting": {"type": "string", "default": "hello"}}}
    body = {"name": f"Template {uuid4().hex[:8]}", "category": "shape", "type": "WORKFLOW"}
    return {**body, "definition": definition, "parameters": parameters, **fields}
