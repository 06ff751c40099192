"""The environment is read in one place; who builds one for a child process is named here with the reason."""

import ast

from tests.architecture.tree import PACKAGES, parsed, python_files, source

READER = "platform_api/settings.py"
ALLOWED = {
    "agents/code/guest/entry.py": "replaces the empty environment of a program's own process",
    "deployments/local/environment.py": "composes the environment that the stack's processes find their settings in",
}
"""Path → why it touches the environment beside the settings."""

NAMES = {"environ", "environb", "getenv", "getenvb", "putenv"}


def touches_environment(tree: ast.AST) -> bool:
    """Whether `os.environ` and its siblings are named, by attribute or by import."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in NAMES and ast.unparse(node.value) == "os":
            return True
        if isinstance(node, ast.ImportFrom) and node.module == "os" and NAMES & {alias.name for alias in node.names}:
            return True
    return False


def test_only_the_settings_read_the_environment() -> None:
    readers = {str(path) for path in python_files(*PACKAGES, "migrations") if touches_environment(parsed(path))}
    assert readers - {READER} == set(ALLOWED)
    assert all(ALLOWED.values())


def test_the_settings_do_read_it() -> None:
    assert "BaseSettings" in source(next(p for p in python_files("platform_api") if str(p) == READER))


def test_every_spelling_is_noticed() -> None:
    for code in ("import os\nos.environ['A']", "import os\nos.getenv('A')", "from os import environ"):
        assert touches_environment(ast.parse(code))
    assert not touches_environment(ast.parse("import os\nos.cpu_count()"))
