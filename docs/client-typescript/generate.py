"""Writes `src/models.ts` and `src/api.ts` from an OpenAPI document on standard input; `make client` calls it.

It stands beside what it writes, since it is no part of the product, and knows nothing of the platform but the
document. What it does not know (how to send, retry, refresh) is `src/transport.ts`, written by hand.
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import wrap
from typing import Any

JsonObject = dict[str, Any]

HEADER = "// Made by `make client` from the OpenAPI document; changes here are lost.\n"
WRAPPERS = ("Envelope_", "PageEnvelope_", "ErrorEnvelope")
PRIMITIVES = {"string": "string", "integer": "number", "number": "number", "boolean": "boolean", "null": "null"}
WIDTH = 110


def main() -> int:
    """Writes both files below the folder of this one, or below the folder that is named."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "src"
    for name, text in generate(json.load(sys.stdin)).items():
        (folder / name).write_text(text, encoding="utf-8")
    return 0


def generate(document: JsonObject) -> dict[str, str]:
    """The text of each file."""
    schemas = document["components"]["schemas"]
    return {"models.ts": _models(schemas), "api.ts": _Api(document).text()}


def _models(schemas: JsonObject) -> str:
    parts = [_model(name, schema) for name, schema in sorted(schemas.items()) if not name.startswith(WRAPPERS)]
    return HEADER + "\n" + "\n".join(parts)


def _model(name: str, schema: JsonObject) -> str:
    comment = _comment(schema.get("description"), "")
    if "properties" not in schema:
        return f"{comment}export type {_name(name)} = {type_of(schema)};\n"
    return f"{comment}export interface {_name(name)} {{\n{_fields(schema)}}}\n"


def _fields(schema: JsonObject) -> str:
    required = schema.get("required", [])
    lines = []
    for key, field in schema["properties"].items():
        lines.append(_comment(field.get("description"), "  "))
        lines.append(f"  {_key(key)}{'' if key in required else '?'}: {type_of(field)};\n")
    return "".join(lines)


def type_of(schema: JsonObject) -> str:
    """The TypeScript type of a schema."""
    if "$ref" in schema:
        return _name(schema["$ref"].rpartition("/")[2])
    if "contentSchema" in schema:
        return type_of(schema["contentSchema"])
    if "const" in schema:
        return json.dumps(schema["const"])
    if "enum" in schema:
        return " | ".join(json.dumps(value) for value in schema["enum"])
    for combined, sign in (("anyOf", " | "), ("oneOf", " | "), ("allOf", " & ")):
        if combined in schema:
            return sign.join(dict.fromkeys(type_of(each) for each in schema[combined]))
    return _simple(schema)


def _simple(schema: JsonObject) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        return " | ".join(type_of({**schema, "type": each}) for each in kind)
    if kind == "array":
        item = type_of(schema.get("items", {}))
        return f"({item})[]" if " " in item else f"{item}[]"
    if kind == "object":
        return _mapping(schema)
    return PRIMITIVES.get(kind or "", "unknown")


def _mapping(schema: JsonObject) -> str:
    if "properties" in schema:
        return "{ " + " ".join(line.strip() for line in _fields(schema).splitlines()) + " }"
    values = schema.get("additionalProperties", True)
    return f"Record<string, {'unknown' if isinstance(values, bool) else type_of(values)}>"


class _Api:
    """The class with a method for each operation, and the types of the query strings."""

    def __init__(self, document: JsonObject) -> None:
        self._document = document
        self._used: set[str] = set()

    def text(self) -> str:
        """The whole file."""
        operations = sorted(self._operations(), key=lambda each: str(each["operationId"]))
        methods = "\n".join(self._method(operation) for operation in operations)
        queries = "\n".join(query for operation in operations if (query := self._query(operation)))
        imports = "".join(f"  {name},\n" for name in sorted(self._used))
        return (
            f"{HEADER}\n"
            'import { type CallOptions, type Page, Transport, segment } from "./transport.ts";\n'
            f'import type {{\n{imports}}} from "./models.ts";\n\n'
            f"{queries}\n"
            "/** Every operation of the contract, by its name there. */\n"
            f"export class Turbocat extends Transport {{\n{methods}}}\n"
        )

    def _operations(self) -> Iterator[JsonObject]:
        for path, item in self._document["paths"].items():
            for method, operation in item.items():
                parameters = [self._resolved(each) for each in operation.get("parameters", [])]
                yield {**operation, "path": path, "method": method.upper(), "parameters": parameters}

    def _resolved(self, node: JsonObject) -> JsonObject:
        if "$ref" not in node:
            return node
        found: Any = self._document
        for part in node["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        return self._resolved(found)

    def _query(self, operation: JsonObject) -> str:
        fields = [each for each in operation["parameters"] if each["in"] == "query"]
        if not fields:
            return ""
        properties = {each["name"]: {**each["schema"], "description": each.get("description")} for each in fields}
        required = [each["name"] for each in fields if each.get("required")]
        for each in fields:
            self._note(type_of(each["schema"]))
        body = _fields({"properties": properties, "required": required})
        comment = f"/** What `{operation['operationId']}` is narrowed to. */\n"
        return f"{comment}export interface {_query_name(operation)} {{\n{body}}}\n"

    def _method(self, operation: JsonObject) -> str:
        answer, unwrap = self._answer(operation)
        call = {"method": json.dumps(operation["method"]), "path": _path(operation), "answer": json.dumps(unwrap)}
        call |= self._options(operation)
        sent = "".join(f"      {key}{'' if key == value else f': {value}'},\n" for key, value in call.items())
        arguments = ", ".join(self._arguments(operation))
        if unwrap == "stream":
            return (
                f"{_comment(operation.get('description'), '  ')}"
                f"  {operation['operationId']}({arguments}): AsyncGenerator<{answer}> {{\n"
                f"    return this.events<{answer}>({{\n{sent}    }}, options);\n  }}\n"
            )
        return (
            f"{_comment(operation.get('description'), '  ')}"
            f"  {operation['operationId']}({arguments}): Promise<{answer}> {{\n"
            f"    return this.call<{answer}>({{\n{sent}    }}, options);\n  }}\n"
        )

    def _options(self, operation: JsonObject) -> JsonObject:
        options: JsonObject = {}
        kinds = {each["in"] for each in operation["parameters"]}
        headers = {each["name"].lower() for each in operation["parameters"] if each["in"] == "header"}
        if "query" in kinds:
            options["query"] = "query"
        if "requestBody" in operation:
            options["body"] = "body"
        if "idempotency-key" in headers:
            options["takesKey"] = "true"
        if "security" not in operation:
            options["open"] = "true"
        if self._signs_in(operation):
            options["signsIn"] = "true"
        return options

    def _signs_in(self, operation: JsonObject) -> bool:
        data = self._data(operation)
        return "tokens" in self._resolved(data).get("properties", {}) if data else False

    def _arguments(self, operation: JsonObject) -> Iterator[str]:
        for each in operation["parameters"]:
            if each["in"] == "path":
                yield f"{_camel(each['name'])}: {type_of(each['schema'])}"
        yield from self._body_argument(operation)
        fields = [each for each in operation["parameters"] if each["in"] == "query"]
        if fields:
            needed = any(each.get("required") for each in fields)
            yield f"query: {_query_name(operation)}{'' if needed else ' = {}'}"
        yield "options: CallOptions = {}"

    def _body_argument(self, operation: JsonObject) -> Iterator[str]:
        body = operation.get("requestBody")
        if body is None:
            return
        kind = self._note(type_of(body["content"]["application/json"]["schema"]))
        yield f"body: {kind}" if body.get("required") else f"body: {kind} = {{}}"

    def _answer(self, operation: JsonObject) -> tuple[str, str]:
        """The method's type and which part of the answer it is."""
        contents = self._contents(operation)
        if not contents:
            return "void", "nothing"
        if "text/event-stream" in contents:
            return self._note(type_of(contents["text/event-stream"]["schema"])), "stream"
        if "application/octet-stream" in contents:
            return "Blob", "blob"
        plain = [] if set(contents) == {"application/json"} else ["string"]
        if "application/json" not in contents:
            return "string", "text"
        schema = self._resolved(contents["application/json"].get("schema", {}))
        data = self._data(operation)
        if data is None:
            reference = contents["application/json"].get("schema", {})
            return " | ".join([self._note(type_of(reference)), *plain]), "whole"
        if "pagination" in json.dumps(self._resolved(schema["properties"]["meta"])):
            return f"Page<{self._note(type_of(data['items']))}>", "page"
        return " | ".join([self._note(type_of(data)), *plain]), "data"

    def _data(self, operation: JsonObject) -> JsonObject | None:
        """The schema inside the envelope of the first success."""
        schema = self._contents(operation).get("application/json", {}).get("schema", {})
        properties = self._resolved(schema).get("properties", {})
        if not {"success", "data", "meta"} <= set(properties):
            return None
        data: JsonObject = properties["data"]
        return data

    def _contents(self, operation: JsonObject) -> JsonObject:
        for status, answer in sorted(operation["responses"].items()):
            if status.startswith("2"):
                contents: JsonObject = self._resolved(answer).get("content", {})
                return contents
        return {}

    def _note(self, kind: str) -> str:
        names = {_name(each) for each in self._document["components"]["schemas"]}
        self._used |= set(re.findall(r"[A-Za-z_]\w*", re.sub(r'"[^"]*"', "", kind))) & names
        return kind


def _path(operation: JsonObject) -> str:
    text = re.sub(r"{(\w+)}", lambda found: f"${{segment({_camel(found[1])})}}", operation["path"])
    return f"`{text}`" if "$" in text else json.dumps(text)


def _query_name(operation: JsonObject) -> str:
    name = str(operation["operationId"])
    return f"{name[0].upper()}{name[1:]}Query"


def _name(schema: str) -> str:
    return re.sub(r"\W|_", "", schema)


def _camel(name: str) -> str:
    return re.sub(r"_(\w)", lambda found: found[1].upper(), name)


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z_$][\w$]*", name) else json.dumps(name)


def _comment(text: str | None, indent: str) -> str:
    if not text:
        return ""
    lines = [line for part in text.strip().replace("*/", "* /").splitlines() for line in (wrap(part, WIDTH) or [""])]
    if len(lines) == 1:
        return f"{indent}/** {lines[0]} */\n"
    return f"{indent}/**\n" + "".join(f"{indent} * {line}".rstrip() + "\n" for line in lines) + f"{indent} */\n"


if __name__ == "__main__":
    sys.exit(main())
