"""The OpenAPI document as somebody meets it who generates a client from it and has nothing else."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from platform_api.contract.requests import BODIES
from platform_api.errors import PlatformError
from platform_api.kit.error_codes import CODES
from platform_api.main import openapi_document

JsonObject = dict[str, Any]
METHODS = {"get", "put", "post", "patch", "delete"}
PLAIN = {"/health", "/api/health", "/ready", "/metrics", "/api/v1/docs", "/api/v1/openapi.json"}
"""Paths without an envelope."""


@pytest.fixture(scope="module")
def document() -> JsonObject:
    return openapi_document()


def operations(document: JsonObject) -> Iterator[tuple[str, JsonObject]]:
    """Each operation under `method /path`."""
    for path, item in document["paths"].items():
        assert set(item) <= METHODS, path
        for method, operation in item.items():
            yield f"{method} {path}", operation


def resolved(document: JsonObject, node: JsonObject) -> JsonObject:
    """`node`, or what it refers to."""
    found: Any = node
    while "$ref" in found:
        reference = found["$ref"]
        found = document
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]
    return found


def problems_of(document: JsonObject, media: JsonObject) -> list[str]:
    """How the example differs from the schema beside it."""
    schema = {**media["schema"], "components": document["components"]}
    return [error.message for error in Draft202012Validator(schema).iter_errors(media["example"])]


def test_is_valid_openapi(document: JsonObject) -> None:
    assert [str(error) for error in OpenAPIV31SpecValidator(document).iter_errors()] == []


def test_every_operation_can_be_read(document: JsonObject) -> None:
    poor = [
        name
        for name, operation in operations(document)
        if not re.fullmatch(r"[a-z][A-Za-z0-9]+", operation["operationId"])
        or len(operation["tags"]) != 1
        or not operation["summary"]
        or not operation["description"].strip().endswith(".")
    ]
    assert poor == []


def test_operation_ids_are_unique(document: JsonObject) -> None:
    ids = [operation["operationId"] for _, operation in operations(document)]
    assert len(ids) == len(set(ids))


def test_every_body_and_every_success_has_a_fitting_example(document: JsonObject) -> None:
    wrong: list[Any] = []
    for name, operation in operations(document):
        medias = list(operation.get("requestBody", {}).get("content", {}).items())
        for status, answer in operation["responses"].items():
            if status.startswith("2"):
                medias += answer.get("content", {}).items()
        for kind, media in medias:
            if kind != "application/json":
                continue
            if media.get("schema", {}) != {} and "example" not in media:
                wrong.append((name, "has none"))
            elif media.get("schema", {}) != {}:
                wrong += [(name, problem) for problem in problems_of(document, media)]
    assert wrong == []


def test_every_error_is_the_envelope_with_an_example(document: JsonObject) -> None:
    wrong: list[Any] = []
    for name, operation in operations(document):
        if name.partition(" ")[2] in PLAIN:
            continue
        for status, answer in operation["responses"].items():
            if status.startswith("2"):
                continue
            media = resolved(document, answer)["content"]["application/json"]
            fits = media["schema"] == {"$ref": "#/components/schemas/ErrorEnvelope"}
            if not fits or problems_of(document, media) or media["example"]["error"]["code"] not in CODES[int(status)]:
                wrong.append((name, status))
    assert wrong == []


def test_every_status_says_what_it_means(document: JsonObject) -> None:
    assert [
        (name, status)
        for name, operation in operations(document)
        for status, answer in operation["responses"].items()
        if not resolved(document, answer).get("description")
    ] == []


def test_bodies_ids_and_keys_bring_the_errors_that_they_can_cause(document: JsonObject) -> None:
    for name, operation in operations(document):
        method, _, path = name.partition(" ")
        if path in PLAIN:
            continue
        expected = {"400", "500", "503"}
        expected |= {"401", "403", "429"} if "security" in operation else set()
        expected |= {"408", "413", "415"} if "requestBody" in operation else set()
        expected |= {"404"} if "{" in path else set()
        expected |= {"409"} if method == "post" and "/auth/" not in path else set()
        assert expected <= set(operation["responses"]), name


def test_every_parameter_says_what_it_is(document: JsonObject) -> None:
    wrong = []
    for name, operation in operations(document):
        for each in operation.get("parameters", []):
            parameter = resolved(document, each)
            simple = resolved(document, parameter["schema"]).get("type") != "object"
            if not parameter["description"] or not simple:
                wrong.append((name, parameter["name"]))
        assert {f"{{{each}}}" for each in re.findall(r"{(\w+)}", name)} == {
            f"{{{each['name']}}}" for each in operation.get("parameters", []) if each.get("in") == "path"
        }
    assert wrong == []


def test_lists_take_a_page_and_tell_where_they_are(document: JsonObject) -> None:
    lists = []
    for name, operation in operations(document):
        schema = json.dumps(operation["responses"].get("200", {}).get("content", {}))
        if "PageEnvelope" not in schema:
            continue
        lists.append(name)
        names = {each.get("name") for each in operation["parameters"]}
        assert {"page", "pageSize"} <= names, name
        example = operation["responses"]["200"]["content"]["application/json"]["example"]
        assert set(example["meta"]["pagination"]) == {"page", "pageSize", "totalItems", "totalPages"}
    assert len(lists) > 5


def test_filters_of_lists_are_parameters_of_their_own(document: JsonObject) -> None:
    names = {each.get("name") for each in document["paths"]["/api/v1/agents"]["get"]["parameters"]}
    assert {"type", "status", "tags", "search", "isPublic", "projectId", "page", "pageSize", "sortBy"} <= names


def test_posts_take_a_key_that_makes_them_safe_to_repeat(document: JsonObject) -> None:
    reference = {"$ref": "#/components/parameters/IdempotencyKey"}
    for name, operation in operations(document):
        method, _, path = name.partition(" ")
        takes = reference in operation.get("parameters", [])
        assert takes == (method == "post" and "security" in operation and "/auth/" not in path), name


def test_open_operations_ask_for_no_login(document: JsonObject) -> None:
    schemes = document["components"]["securitySchemes"]
    assert schemes["bearer"]["scheme"] == "bearer"
    assert (schemes["apiKey"]["in"], schemes["apiKey"]["name"]) == ("header", "X-API-Key")
    ways = [{"bearer": []}, {"apiKey": []}]
    for name, operation in operations(document):
        offered = [each for each in operation.get("security", ways) if each]  # `{}`: a login is not needed
        assert offered == ways, name
        refuses = "401" in operation["responses"] and "/auth/" not in name and name.partition(" ")[2] not in PLAIN
        assert "security" in operation or not refuses, name


def test_what_waits_says_how_long(document: JsonObject) -> None:
    for status in (423, 429, 503):
        assert "Retry-After" in document["components"]["responses"][f"Error{status}"]["headers"]


def test_no_schema_is_left_over(document: JsonObject) -> None:
    used = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(document)))
    assert used == set(document["components"]["schemas"])


def test_every_written_body_belongs_to_a_schema(document: JsonObject) -> None:
    assert set(BODIES) <= set(document["components"]["schemas"])


def test_the_table_of_codes_is_that_of_the_errors(document: JsonObject) -> None:
    def below(kind: type[PlatformError]) -> Iterator[type[PlatformError]]:
        for each in kind.__subclasses__():
            yield each
            yield from below(each)

    for kind in below(PlatformError):
        assert kind.code in CODES[kind.status], kind
    told = document["components"]["schemas"]["ErrorCode"]["enum"]
    assert sorted(code for group in CODES.values() for code in group) == told
