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


def _greet(key: str, name: str, *depends_on: str) -> JsonObject:
    step = {"stepKey": key, "type": "AGENT", "agentId": SOME_ID, "inputs": {"name": name}}
    return {**step, "dependsOn": list(depends_on)} if depends_on else step


_WORKFLOW: JsonObject = {
    "name": "Greetings",
    "inputSchema": {
        "type": "object",
        "properties": {"names": {"type": "array", "items": {"type": "string"}, "default": ["Ada", "Charles"]}},
    },
    "steps": [
        {
            "stepKey": "each",
            "type": "LOOP",
            "onError": "CONTINUE",
            "config": {
                "items": "inputs.names",
                "steps": [_greet("greet", "{{ item }}")],
                "collect": "{{ greet.output.text }}",
                "maxConcurrency": 4,
            },
        },
        {
            "stepKey": "many",
            "type": "CONDITION",
            "dependsOn": ["each"],
            "config": {"expression": "each.output.count > 10", "then": ["approve"], "else": ["note"]},
        },
        {
            "stepKey": "approve",
            "type": "WAIT",
            "config": {
                "kind": "approval",
                "message": "Send {{ each.output.count }} greetings?",
                "assignees": ["ADMIN"],
                "timeoutSeconds": 86400,
                "onTimeout": "REJECT",
            },
        },
        _greet("note", "few"),
        {
            "stepKey": "send",
            "type": "PARALLEL",
            "dependsOn": ["approve", "note"],
            "config": {
                "branches": {
                    "mail": {"steps": [_greet("post", "mail")]},
                    "chat": {"steps": [_greet("post", "chat"), _greet("log", "{{ post.output.text }}", "post")]},
                }
            },
        },
    ],
    "output": {"greetings": "{{ each.output.items }}", "sent": "{{ send.output }}"},
}

BODIES: JsonObject = {
    "AgentCreate": _AGENT,
    "AgentReplace": _AGENT,
    "AgentUpdate": {"tags": ["demo", "greetings"], "isPublic": True},
    "AgentCopy": {"name": "Second greeter"},
    "ApiKeyCreate": {"name": "Nightly report", "scopes": ["workflows:read", "executions:read"]},
    "EventDelivery": {"type": "order.paid", "data": {"orderId": "A-1017"}},
    "ExecutionResume": {"path": "approve", "approved": True, "comment": "Checked by hand"},
    "ExecutionRetry": {"workflowVersion": "latest"},
    "ExecutionStart": {"inputs": {"name": "Charles"}},
    "LlmProviderCreate": {
        "name": "Our gateway",
        "kind": "OPENAI_COMPATIBLE",
        "baseUrl": "https://models.example.com/v1",
        "credentials": {"apiKey": "sk-example"},
        "models": [{"name": "house-model", "price": {"prompt": 0.5, "completion": 1.5}}],
    },
    "LlmProviderUpdate": {"priority": 10, "isActive": True},
    "MemberAdd": {"email": "charles@example.com", "role": "EDITOR"},
    "MemberPatch": {"role": "EDITOR"},
    "ProfilePatch": {"fullName": "Ada King", "preferences": {"theme": "dark"}},
    "ProjectCreate": {"name": "Greetings", "agent": _AGENT},
    "ProjectUpdate": {"description": "All that greets", "budget": {"maxCost": 20, "period": "MONTH"}},
    "StepPreview": {"path": "clean"},
    "TenantPatch": {"name": "Analytical Engines"},
    "WorkflowChange": {"tags": ["demo", "greetings"]},
    "WorkflowCopy": {"name": "Second greeting"},
    "WorkflowDocument": _WORKFLOW,
}
