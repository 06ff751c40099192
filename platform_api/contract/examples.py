"""Examples for bodies and answers: those that a schema or field gives, the rest made from what the schema says."""

from collections.abc import Iterator
from typing import Any

from platform_api.contract.answers import MOMENT, REQUEST_ID
from platform_api.contract.requests import BODIES, SOME_ID

JsonObject = dict[str, Any]
_PREFIX = "#/components/schemas/"

_BY_NAME: JsonObject = {
    "accessToken": "eyJhbGciOiJIUzI1NiJ9.e30.c2lnbmF0dXJl",
    "action": "agent.updated",
    "apiKey": "cla_5a1c6f0e-2b7d-4c3e-9f8a-1d2e3f4a5b6c",
    "avatarUrl": "https://example.com/ada.png",
    "description": "Greets whoever it is told of",
    "email": "ada@example.com",
    "fullName": "Ada Lovelace",
    "inputs": {"name": "Charles"},
    "ip": "203.0.113.7",
    "level": "INFO",
    "message": "Done",
    "name": "Greeter",
    "newPassword": "Analytical-1843",
    "output": {"text": "Hello, Charles"},
    "outputs": {"text": "Hello, Charles"},
    "password": "Lovelace-1815",
    "path": "greet",
    "priority": "default",
    "refreshToken": "eyJhbGciOiJIUzI1NiJ9.e30.c2lnbmF0dXJl",
    "requestId": REQUEST_ID,
    "resourceType": "agent",
    "slug": "greeter",
    "stage": ["greet"],
    "stepKey": "greet",
    "step": "greet",
    "tags": ["demo"],
    "timezone": "Europe/Lisbon",
    "token": "2Jx0v5m4kQW8rY7nT3bC6zD9fG1hL0pS",
    "totalItems": 1,
    "totalPages": 1,
    "userAgent": "Mozilla/5.0",
}
"""What fields of a name hold, so that an answer reads like one; a field's own `examples` win."""

_BY_FORMAT = {
    "uuid": SOME_ID,
    "date-time": MOMENT,
    "email": "ada@example.com",
    "uri": "https://example.com/",
    "password": "Lovelace-1815",
    "binary": "",
}


class Examples:
    """Puts examples into operations; `schemas` are the document's."""

    def __init__(self, schemas: JsonObject) -> None:
        self._schemas = schemas

    def put_into(self, operation: JsonObject) -> None:
        """One for the request's body and one for each successful answer, unless they bring theirs."""
        for media in operation.get("requestBody", {}).get("content", {}).values():
            media.setdefault("example", self._request(media["schema"]))
        for media in _answers(operation):
            media.setdefault("example", self.of(media["schema"]))

    def of(self, schema: JsonObject, name: str = "", inside: tuple[str, ...] = ()) -> Any:
        """A value that `schema` takes; `name` is the field's, `inside` are the schemas around it."""
        reference = schema.get("$ref")
        if reference is not None:
            return self._referred(reference, name, inside)
        if schema.get("examples"):
            return schema["examples"][0]
        if "const" in schema:
            return schema["const"]
        for combined in ("anyOf", "oneOf"):
            if combined in schema:
                return self._first(schema[combined], name, inside, default=schema.get("default"))
        if "allOf" in schema:
            return self.of(schema["allOf"][0], name, inside)
        if "enum" in schema:
            return schema.get("default", schema["enum"][0])
        return self._made(schema, name, inside)

    def _request(self, schema: JsonObject) -> Any:
        """A body to send: less is clearer, so that what may be left out is."""
        name = schema.get("$ref", "").removeprefix(_PREFIX)
        full = self._schemas.get(name, schema)
        if name in BODIES:
            return BODIES[name]
        if full.get("examples") or "properties" not in full:
            return self.of(full)
        return {key: self.of(full["properties"][key], key) for key in full.get("required", [])}

    def _referred(self, reference: str, name: str, inside: tuple[str, ...]) -> Any:
        target = reference.removeprefix(_PREFIX)
        if target in inside:
            return None
        return self.of(self._schemas[target], name, (*inside, target))

    def _first(self, choices: list[JsonObject], name: str, inside: tuple[str, ...], *, default: Any) -> Any:
        filled = [each for each in choices if each.get("type") != "null"]
        if any(each.get("$ref", "").removeprefix(_PREFIX) in inside for each in filled):
            return default
        return self.of(filled[0], name, inside)

    def _made(self, schema: JsonObject, name: str, inside: tuple[str, ...]) -> Any:
        kind = schema.get("type")
        if kind == "object" and "properties" in schema:
            return self._object(schema, inside)
        if name in _BY_NAME and _fits(_BY_NAME[name], kind):
            return _BY_NAME[name]
        if schema.get("default") is not None:
            return schema["default"]
        if kind == "array":
            return self._list(schema, name, inside)
        if kind == "string":
            return _BY_FORMAT.get(schema.get("format", ""), name or "text")
        return {"integer": int(schema.get("minimum", 1)), "number": 1.5, "boolean": True, "null": None}.get(
            kind or "", {}
        )

    def _object(self, schema: JsonObject, inside: tuple[str, ...]) -> JsonObject:
        return {key: self.of(each, key, inside) for key, each in schema["properties"].items()}

    def _list(self, schema: JsonObject, name: str, inside: tuple[str, ...]) -> list[Any]:
        item = self.of(schema.get("items", {}), name.removesuffix("s"), inside)
        return [] if item is None or item == {} else [item]


def _answers(operation: JsonObject) -> Iterator[JsonObject]:
    for status, answer in operation["responses"].items():
        if status.startswith("2"):
            yield from (media for media in answer.get("content", {}).values() if "schema" in media)


def _fits(value: Any, kind: str | None) -> bool:
    kinds = {"string": str, "integer": int, "array": list, "object": dict}
    return kind is None or (kind in kinds and isinstance(value, kinds[kind]))
