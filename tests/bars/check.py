"""Holds the last coverage measurement against the bars of `[tool.turbocat.coverage]`; exits 1 where one is missed.

`make test` measures; this only reads. A route counts as called when a line of its handler's body has run.
"""

import ast
import sys
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from coverage import Coverage

ROOT = Path(__file__).parents[2]
PACKAGES = ("agents", "flows", "platform_api", "deployments")
HTTP_METHODS = {"get", "post", "put", "patch", "delete", "websocket"}


@dataclass(frozen=True)
class FileCoverage:
    """Lines and branches of one file, as coverage counts them."""

    path: str
    wanted: int
    hit: int
    executed: frozenset[int]


@dataclass(frozen=True)
class Route:
    """A handler and the lines of its body, the docstring excepted."""

    path: str
    name: str
    body: frozenset[int]


def measured(data_file: Path) -> list[FileCoverage]:
    """Every own file, those included that nothing imported. Raises `FileNotFoundError` without a measurement."""
    if not data_file.exists():
        raise FileNotFoundError(f"{data_file} is missing: run `make test` first")
    coverage = Coverage(data_file=str(data_file), config_file=str(ROOT / "pyproject.toml"))
    coverage.load()
    return [_of_file(coverage, path) for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


def percent(files: Iterable[FileCoverage]) -> float:
    """Lines and branches together; 100 when there is nothing to run."""
    wanted, hit = 0, 0
    for file in files:
        wanted, hit = wanted + file.wanted, hit + file.hit
    return 100.0 * hit / wanted if wanted else 100.0


def matching(files: Iterable[FileCoverage], patterns: Sequence[str]) -> list[FileCoverage]:
    """Files below a folder (`agents/`) or of a pattern (`a/*/b.py`)."""
    return [
        file
        for file in files
        if any(file.path.startswith(p) if p.endswith("/") else fnmatch(file.path, p) for p in patterns)
    ]


def routes(source: str, path: str) -> Iterator[Route]:
    """Handlers that a decorator such as `@router.get("/…")` publishes."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.AsyncFunctionDef | ast.FunctionDef) and any(map(_publishes, node.decorator_list)):
            lines = {line for statement in _code(node.body) for line in range(statement.lineno, _end(statement) + 1)}
            yield Route(path, node.name, frozenset(lines))


def uncalled(files: Iterable[FileCoverage], found: Iterable[Route]) -> list[Route]:
    """Routes that no test has called."""
    executed = {file.path: file.executed for file in files}
    return [route for route in found if not route.body & executed.get(route.path, frozenset())]


def main() -> int:
    """Prints one line per bar and the routes nobody called."""
    files = measured(ROOT / ".coverage")
    bars = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["turbocat"]["coverage"]
    missed = False
    for name, rule in bars.items():
        group = matching(files, rule["paths"])
        reached = percent(group)
        missed |= reached < rule["bar"] or not group
        print(f"coverage of {name:<9} {reached:5.1f} %  (bar {rule['bar']} %, {len(group)} files)")
        if reached < rule["bar"]:
            _print_worst(group)
    found = [
        route
        for path in sorted(ROOT.glob("platform_api/resources/*/router.py"))
        for route in routes(path.read_text(), str(path.relative_to(ROOT)))
    ]
    silent = uncalled(files, found)
    print(f"routes called by a test: {len(found) - len(silent)} of {len(found)}")
    for route in silent:
        print(f"  never called: {route.path} {route.name}")
    return 1 if missed or silent else 0


def _of_file(coverage: Coverage, path: Path) -> FileCoverage:
    _, statements, _, missing, _ = coverage.analysis2(str(path))
    branches = coverage.branch_stats(str(path)).values()
    wanted = len(statements) + sum(total for total, _ in branches)
    hit = len(statements) - len(missing) + sum(taken for _, taken in branches)
    return FileCoverage(str(path.relative_to(ROOT)), wanted, hit, frozenset(statements) - frozenset(missing))


def _print_worst(group: list[FileCoverage]) -> None:
    for file in sorted(group, key=lambda f: f.hit - f.wanted)[:10]:
        print(f"  {percent([file]):5.1f} %  {file.path}")


def _publishes(decorator: ast.expr) -> bool:
    return (
        isinstance(decorator, ast.Call)
        and isinstance(decorator.func, ast.Attribute)
        and decorator.func.attr in HTTP_METHODS
    )


def _code(body: list[ast.stmt]) -> list[ast.stmt]:
    first = body[0]
    documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    return body[1:] if documented else body


def _end(statement: ast.stmt) -> int:
    return statement.end_lineno or statement.lineno


if __name__ == "__main__":
    sys.exit(main())
