"""The TypeScript client is of this contract, compiles under strict, and behaves."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from platform_api.main import openapi_document
from tests.fixtures.node import CLIENT, Node


def generated(document: dict[str, Any], folder: Path) -> dict[str, str]:
    command = [sys.executable, str(CLIENT / "generate.py"), str(folder)]
    subprocess.run(command, input=json.dumps(document), text=True, check=True, timeout=30)
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_is_not_stale(tmp_path: Path) -> None:
    fresh = generated(openapi_document(), tmp_path)
    stale = [name for name, text in fresh.items() if (CLIENT / "src" / name).read_text() != text]
    assert stale == [], "`make client` writes them anew"


def test_every_operation_is_a_method() -> None:
    text = (CLIENT / "src" / "api.ts").read_text()
    operations = [each for item in openapi_document()["paths"].values() for each in item.values()]
    assert [each["operationId"] for each in operations if f"\n  {each['operationId']}(" not in text] == []


def test_compiles_under_strict(node: Node, tmp_path: Path) -> None:
    node.run(node.tsc, "-p", "tsconfig.json", "--strict", "--outDir", tmp_path)
    assert (tmp_path / "src" / "index.js").exists()
    assert "createAgent(body: AgentCreate" in (tmp_path / "src" / "api.d.ts").read_text()


def test_strict_finds_what_the_contract_does_not_allow(node: Node, tmp_path: Path) -> None:
    wrong = 'import { Turbocat } from "SRC";\nawait new Turbocat({ baseUrl: "" }).createAgent({ name: 3 });\n'
    (tmp_path / "wrong.mts").write_text(wrong.replace("SRC", str(CLIENT / "src" / "index.ts")))
    options = ["--strict", "--noEmit", "--target", "ES2022", "--module", "NodeNext", "--allowImportingTsExtensions"]
    with pytest.raises(AssertionError, match=r"wrong\.mts\(2,.*TS2322"):
        node.run(node.tsc, *options, tmp_path / "wrong.mts")


def test_sends_refreshes_and_tries_again_as_promised(node: Node) -> None:
    assert "\nℹ fail 0\n" in node.run("--test", "--test-reporter=spec")


def test_odd_schemas_become_types(tmp_path: Path) -> None:
    odd = {
        "type": "object",
        "description": "Ends a comment */ early.",
        "required": ["plain"],
        "properties": {
            "plain": {"type": "string"},
            "with-dash": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
            "several": {"type": "array", "items": {"enum": ["a", "b"]}},
            "map": {"type": "object", "additionalProperties": {"type": "boolean"}},
            "any": {},
            "both": {"type": ["string", "null"]},
        },
    }
    document = {"paths": {}, "components": {"schemas": {"Odd_Thing-Input": odd}}}
    assert generated(document, tmp_path)["models.ts"].partition("\n\n")[2] == (
        "/** Ends a comment * / early. */\n"
        "export interface OddThingInput {\n"
        "  plain: string;\n"
        '  "with-dash"?: number | null;\n'
        '  several?: ("a" | "b")[];\n'
        "  map?: Record<string, boolean>;\n"
        "  any?: unknown;\n"
        "  both?: string | null;\n"
        "}\n"
    )
