"""Checks user code before it is saved. It is parsed, never run."""

import ast
import warnings
from collections.abc import Iterator

from agents.errors import Problem

MAX_CODE_BYTES = 256 * 1024
ENTRY_POINT = "main"


def source_problems(code: str) -> list[Problem]:
    """Syntax errors with their line, and a missing or unfit `main`; at most one problem. The size is the caller's to
    check: up to `MAX_CODE_BYTES` the parser refuses what nests too deep instead of crashing."""
    try:
        tree = _parsed(code)
    except SyntaxError as error:
        return [_problem(f"line {error.lineno or 1}: {error.msg}")]
    except (RecursionError, MemoryError):
        return [_problem("the code nests too deep to be parsed; split long expressions into several statements")]
    except ValueError as error:
        return [_problem(f"the code is no valid text: {error}")]
    return [_problem(text) for text in _entry_point_faults(tree)]


def node_problems(code: str) -> list[Problem]:
    """JavaScript is parsed by Node.js alone, which not every machine has that checks configs."""
    try:
        code.encode()
    except UnicodeEncodeError as error:
        return [_problem(f"the code is no valid text: {error}")]
    if "exports" not in code:
        return [_problem("the code exports nothing; write `module.exports = async (input) => { … }`")]
    return []


def _parsed(code: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "invalid escape sequence" and the like are the author's to weigh
        return ast.parse(code)


def _entry_point_faults(tree: ast.Module) -> Iterator[str]:
    found = [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    mains = [node for node in found if node.name == ENTRY_POINT]
    if not mains:
        yield "there is no function `main`; define `def main(input):` at the top level and return the result from it"
        return
    main = mains[-1]
    if isinstance(main, ast.AsyncFunctionDef):
        yield f"line {main.lineno}: `main` must be a plain function, not `async def`"
    elif not _takes_one_argument(main.args):
        yield f"line {main.lineno}: `main` must take exactly one argument: `def main(input):`"


def _takes_one_argument(arguments: ast.arguments) -> bool:
    positional = len(arguments.posonlyargs) + len(arguments.args)
    required = positional - len(arguments.defaults)
    keywords_needed = any(default is None for default in arguments.kw_defaults)
    return required <= 1 and (positional >= 1 or arguments.vararg is not None) and not keywords_needed


def _problem(message: str) -> Problem:
    return Problem(path="code", code="BAD_CONFIG", message=message)
