"""What the architecture tests look at: the tree as git sees it, and the syntax trees of its Python files."""

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("agents", "flows", "platform_api", "deployments")


@cache
def tracked() -> tuple[Path, ...]:
    """Every file that is or may be committed, relative to the root."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    paths = (Path(name) for name in listing.split("\0") if name)
    return tuple(sorted(path for path in set(paths) if (ROOT / path).is_file()))


def python_files(*tops: str) -> list[Path]:
    """Python files below the named top-level folders."""
    return [path for path in tracked() if path.suffix == ".py" and path.parts[0] in tops]


def source(path: Path) -> str:
    """The text of a file."""
    return (ROOT / path).read_text(encoding="utf-8")


@cache
def parsed(path: Path) -> ast.Module:
    """The syntax tree of a Python file."""
    return ast.parse(source(path), filename=str(path))


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function of a file, nested ones and methods included."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """`(line, dotted name)` of everything imported; `from a import b` gives `a.b`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield node.lineno, f"{node.module}.{alias.name}"


def module_name(path: Path) -> str:
    """`a/b/c.py` → `a.b.c`."""
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
