"""Headers that every operation of its kind takes, and words for parameters that say nothing of themselves."""

from typing import Any

JsonObject = dict[str, Any]

PARAMETERS: JsonObject = {
    "IdempotencyKey": {
        "name": "Idempotency-Key",
        "in": "header",
        "required": False,
        "description": "Makes the call safe to send again: for 24 hours the same key with the same body gets the first "
        "answer again and does nothing; with another body it is a 409.",
        "schema": {"type": "string", "pattern": "^[!-~]{1,200}$"},
        "example": "6f1f6f2e-8d2b-4d0e-9c39-9d6a2f0c7b11",
    },
}
"""`components.parameters`."""

_WORDS = {
    "name": "Its name",
    "search": "Text that name or description contain",
    "tags": "Tags that must all be there; repeat it or write commas",
    "type": "Type, or several of them",
    "status": "Status, or several of them",
    "triggerType": "What started it, or several of these",
    "isPublic": "Whether everybody in the tenant reads it",
    "projectId": "The project that it belongs to",
    "workflowId": "The workflow that it belongs to",
    "scheduleEnabled": "Whether it starts by itself",
    "since": "From this time on",
    "from": "From this time on",
    "to": "Before this time",
    "stepKey": "Key or path of one step",
    "userId": "Who did it",
    "action": "What was done, such as `agent.updated`",
    "resourceType": "What it was done to, such as `agent`",
    "resourceId": "Id of what it was done to",
}


def declare_parameters(path: str, method: str, operation: JsonObject, schemas: JsonObject) -> None:
    """Adds the shared headers, a description wherever there is none, and one entry for each filter of a list."""
    parameters = [flat for each in operation.get("parameters", []) for flat in _flattened(each, schemas)]
    if parameters:
        operation["parameters"] = parameters
    for parameter in parameters:
        if not parameter.get("description"):
            parameter["description"] = _described(parameter)
    if method == "post" and "security" in operation and "/auth/" not in path:
        operation["parameters"] = [*parameters, {"$ref": "#/components/parameters/IdempotencyKey"}]


def _flattened(parameter: JsonObject, schemas: JsonObject) -> list[JsonObject]:
    """A model of filters that stands beside other parameters is documented by FastAPI as one; it is read as many."""
    name = parameter["schema"].get("$ref", "").removeprefix("#/components/schemas/")
    model = schemas.get(name, {})
    if parameter["in"] != "query" or "properties" not in model:
        return [parameter]
    required = model.get("required", [])
    return [
        {
            "name": key,
            "in": "query",
            "required": key in required,
            "description": schema.get("description", ""),
            "schema": schema,
        }
        for key, schema in model["properties"].items()
    ]


def _described(parameter: JsonObject) -> str:
    name = str(parameter["name"])
    if parameter["in"] == "path" and name.endswith("_id"):
        return f"Id of the {name.removesuffix('_id').replace('_', ' ')}"
    return _WORDS.get(name, "")
