"""What the documents say of the tree is true: links, verbs, commands, folders, example requests."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.architecture.tree import ROOT, parsed, source, tracked

DOCUMENTS = [path for path in tracked() if path.suffix == ".md" and path.parts[0] != "tests"]


def mentioned(pattern: str) -> set[str]:
    """What the pattern's group finds in any document."""
    return {found for path in DOCUMENTS for found in re.findall(pattern, source(path))}


def test_every_link_leads_somewhere() -> None:
    broken = [
        f"{path}: {target}"
        for path in DOCUMENTS
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", source(path))
        if not (ROOT / path.parent / target).exists()
    ]
    assert DOCUMENTS
    assert broken == []


def test_every_verb_of_make_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):.*##", source(Path("Makefile")), flags=re.MULTILINE))
    assert mentioned(r"`make ([a-z]+)") <= targets
    assert {"demo", "test"} <= mentioned(r"\$ make ([a-z]+)")


def test_every_command_of_turbocat_exists() -> None:
    tree = parsed(Path("deployments/cli.py"))
    commands = {
        f"{group} {node.name.rstrip('_')}".removeprefix("app ")
        for node in tree.body
        if isinstance(node, ast.FunctionDef)
        for group, _, rest in (ast.unparse(decorator).partition(".") for decorator in node.decorator_list)
        if rest.startswith("command")
    }
    listed = re.search(r"- `turbocat`: (.+?)\.\n", source(Path("CHANGELOG.md")), flags=re.DOTALL)
    assert listed
    assert set(re.findall(r"`([\w ]+)`", listed[1])) == commands
    assert mentioned(r"turbocat ([a-z]+(?: [a-z]+)?)`") <= commands


def test_the_map_names_the_folders_that_there_are() -> None:
    tree_map = source(Path("README.md")).partition("## Map of the tree")[2].split("```")[1]
    folders = {line.split("/")[0] for line in tree_map.splitlines() if line and not line.startswith(" ")}
    there = {path.parts[0] for path in tracked() if len(path.parts) > 1 and not path.parts[0].startswith(".")}
    assert folders == there


def test_the_tour_calls_routes_that_there_are() -> None:
    tour = source(Path("README.md")).partition("## A tour of the API")[2].split("```")[1]
    called = {re.sub(r"\$[A-Z]+", "{}", path) for path in re.findall(r"\$API(/[\w/$-]+)", tour)}
    assert len(called) > 5
    assert called <= set(published())


def published() -> Iterator[str]:
    """Paths below `/api/v1` of every slice, `{}` for a parameter."""
    for path in (ROOT / "platform_api/resources").glob("*/router.py"):
        tree = ast.parse(path.read_text())
        prefixes = [k.value.value for k in ast.walk(tree) if isinstance(k, ast.keyword) and k.arg == "prefix"]  # type: ignore[attr-defined]
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            if isinstance(call.func, ast.Attribute) and call.func.attr in {"get", "post", "patch", "put", "delete"}:
                for route in call.args[:1]:
                    if isinstance(route, ast.Constant) and isinstance(route.value, str):
                        yield from (re.sub(r"\{\w+\}", "{}", prefix + route.value) for prefix in (prefixes or [""]))
