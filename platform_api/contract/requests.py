"""Bodies that a newcomer may send as they stand, by schema. What is not here is made of its required fields."""

from typing import Any

JsonObject = dict[str, Any]
SOME_ID = "0198c5a2-7c1e-7d30-9f5b-3a1c2e4d5f61"

_AGENT: JsonObject = {
    "name": "Greeter",
    "type": "CODE",
    "config": {
        "language": "python",
        "code": 'def main(input):\n    return {"text": "Hello, " + input["name"]}',
    },
    "tags": ["demo"],
}
_WORKFLOW: JsonObject = {
    "name": "Greeting",
    "inputSchema": {"type": "object", "properties": {"name": {"type": "string", "default": "world"}}},
    "steps": [{"stepKey": "greet", "type": "AGENT", "agentId": SOME_ID, "inputs": {"name": "{{ inputs.name }}"}}],
    "output": {"text": "{{ greet.output.text }}"},
}

BODIES: JsonObject = {
    "AgentCreate": _AGENT,
    "AgentReplace": _AGENT,
    "AgentUpdate": {"tags": ["demo", "greetings"], "isPublic": True},
    "AgentCopy": {"name": "Second greeter"},
    "ApiKeyCreate": {"name": "Nightly report", "scopes": ["workflows:read", "executions:read"]},
    "EventDelivery": {"type": "order.paid", "data": {"orderId": "A-1017"}},
    "ExecutionResume": {"path": "approve", "approved": True, "comment": "Checked by hand"},
    "ExecutionStart": {"inputs": {"name": "Charles"}},
    "MemberAdd": {"email": "charles@example.com", "role": "EDITOR"},
    "MemberPatch": {"role": "EDITOR"},
    "ProfilePatch": {"fullName": "Ada King", "preferences": {"theme": "dark"}},
    "ProjectCreate": {"name": "Greetings", "agent": _AGENT},
    "ProjectUpdate": {"description": "All that greets", "budget": {"maxCost": 20, "period": "MONTH"}},
    "TenantPatch": {"name": "Analytical Engines"},
    "WorkflowChange": {"tags": ["demo", "greetings"]},
    "WorkflowCopy": {"name": "Second greeting"},
    "WorkflowDocument": _WORKFLOW,
}
