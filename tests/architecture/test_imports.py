"""What import-linter cannot say about imports, and what is really loaded when a process starts."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.tree import PACKAGES, ROOT, functions, imports, module_name, parsed, python_files

IN_A_FUNCTION: dict[str, str] = {}
"""`path:function` → why its import cannot stand at the top of the module."""


def foreign_repositories(path: Path, tree: ast.AST) -> list[str]:
    """Imports of another slice's repository; a slice talks to another through its service."""
    own = path.parts[2]
    found = []
    for line, name in imports(tree):
        parts = name.split(".")
        if parts[:2] == ["platform_api", "resources"] and "repository" in parts[3:] and parts[2] != own:
            found.append(f"{path}:{line} imports {name}")
    return found


def test_a_slice_never_imports_another_slices_repository() -> None:
    slices = [path for path in python_files("platform_api") if path.parts[1] == "resources" and len(path.parts) > 3]
    assert slices
    assert [line for path in slices for line in foreign_repositories(path, parsed(path))] == []


def test_a_foreign_repository_is_noticed() -> None:
    tree = ast.parse("from platform_api.resources.users.repository import UserRepository")
    assert foreign_repositories(Path("platform_api/resources/agents/service.py"), tree) != []
    assert foreign_repositories(Path("platform_api/resources/users/service.py"), tree) == []


def test_imports_stand_at_the_top_of_the_module() -> None:
    hidden = [
        f"{path}:{function.name}"
        for path in python_files(*PACKAGES, "migrations", "tests")
        for function in functions(path)
        if any(imports(function))
    ]
    assert [place for place in hidden if place not in IN_A_FUNCTION] == []


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error::ImportWarning", "-c", code], cwd=ROOT, capture_output=True, text=True
    )


def test_every_module_imports_by_itself_in_a_fresh_process() -> None:
    """A module that only imports after another one hides a cycle; the order is turned round to find it."""
    names = [module_name(path) for path in python_files(*PACKAGES) if not _is_a_script(path)]
    result = run(f"import importlib\nfor name in {sorted(names, reverse=True)!r}: importlib.import_module(name)")
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    "module",
    ["agents.registry", "flows.runtime.builder", "platform_api.main", "deployments.entrypoint", "deployments.cli"],
)
def test_the_doors_of_the_house_open_first(module: str) -> None:
    result = run(f"import {module}")
    assert result.returncode == 0, result.stderr


def test_the_api_process_loads_neither_executor_nor_prefect() -> None:
    code = (
        "import sys, platform_api.main\n"
        "bad = [m for m in sys.modules if m == 'prefect' or m == 'agents.registry'"
        " or (m.startswith('agents.') and m.endswith('.executor') and m.count('.') == 2)]\n"
        "assert not bad, bad"
    )
    result = run(code)
    assert result.returncode == 0, result.stderr


def _is_a_script(path: Path) -> bool:
    return path.name == "__main__.py" or "guest" in path.parts
