"""Makes the document. Whatever holds for every operation of a kind is said here once, never route by route."""

import json
import re
from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic.alias_generators import to_camel

from platform_api.contract.answers import declare_answers, shared_answers
from platform_api.contract.examples import Examples
from platform_api.contract.parameters import PARAMETERS, declare_parameters
from platform_api.kit.error_codes import CODES

JsonObject = dict[str, Any]

_METHODS = ("get", "put", "post", "delete", "patch")
_REFERENCE = re.compile(r'"#/components/schemas/([^"]+)"')
_SENTENCE = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def operation_id(route: APIRoute) -> str:
    """The function's name in camelCase: what a generated client calls the operation."""
    return to_camel(route.name)


def make_openapi(app: FastAPI) -> JsonObject:
    """The document, complete: examples, every answer, every header."""
    document = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes, summary=app.summary
    )
    document["servers"] = [{"url": "/", "description": "Where this document is served"}]
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    _name_codes(schemas)
    examples = Examples(schemas)
    for path, method, operation in _operations(document):
        operation["summary"] = _summary(operation["operationId"])
        declare_parameters(path, method, operation, schemas)
        declare_answers(path, method, operation)
        _describe_events(operation)
        examples.put_into(operation)
    components["responses"] = shared_answers()
    components["parameters"] = PARAMETERS
    _drop_unused(document)
    return document


def _drop_unused(document: JsonObject) -> None:
    schemas = document["components"]["schemas"]
    while unused := set(schemas) - set(_REFERENCE.findall(json.dumps(document))):
        for name in unused:
            del schemas[name]


def _describe_events(operation: JsonObject) -> None:
    """FastAPI calls what is no JSON a string, and puts the model of its events beside that."""
    schema = operation["responses"].get("200", {}).get("content", {}).get("text/event-stream", {}).get("schema", {})
    if "$ref" in schema:
        schema.pop("type", None)


def _operations(document: JsonObject) -> Iterator[tuple[str, str, JsonObject]]:
    for path, item in document["paths"].items():
        for method in _METHODS:
            if method in item:
                yield path, method, item[method]


def _summary(name: str) -> str:
    """`listAgentVersions` → `List agent versions`."""
    return _SENTENCE.sub(" ", name).capitalize()


def _name_codes(schemas: JsonObject) -> None:
    codes = sorted({code for group in CODES.values() for code in group})
    schemas["ErrorCode"] = {
        "type": "string",
        "title": "ErrorCode",
        "enum": codes,
        "description": "What went wrong, for programs; a status can have several.",
    }
    schemas["ErrorBody"]["properties"]["code"] = {"$ref": "#/components/schemas/ErrorCode"}
