"""`{{ … }}` in inputs, configs and outputs: found, checked, filled in.

A text that is exactly one `{{ expression }}` becomes the expression's value, type and all. In any other text a string
is put in as it is, null as nothing, and everything else as JSON. A text without `{{` is never changed. Object keys are
never templates. Only expressions exist: a statement (`{% … %}`) is refused when the definition is saved.

Case 18 of the security list: no attribute of a Python object is reachable, results and work are bounded.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from agents.errors import Problem
from flows.compiler.engine import Program, program
from flows.compiler.engine import evaluate as run_program
from flows.compiler.lexer import ExpressionSyntaxError, tokens
from flows.compiler.nodes import Part, Reference, references_in
from flows.compiler.parser import Parser
from flows.compiler.values import MAX_OUTPUT, text_of
from flows.errors import ExpressionFailed

MAX_TEMPLATE = 64 * 1024
"""Characters of one text with `{{` in it."""
MAX_NESTING = 64
"""Levels of lists and objects around a template."""
MAX_RENDERED = 8 * MAX_OUTPUT
"""Characters that all texts of one `render` may have together."""
_CACHED_LENGTH = 2_000


@dataclass(frozen=True, slots=True)
class Use:
    """One reference in a document: where it is written, what it names, and whether missing data is allowed for."""

    where: str
    path: tuple[Part, ...]
    optional: bool


def render(value: Any, scope: Mapping[str, Any]) -> Any:
    """`value` with its templates filled in; raises `ExpressionFailed`, `UnresolvedReference` among them."""
    return _Rendering(scope).fill(value, 0)


def evaluate(expression: str, scope: Mapping[str, Any]) -> Any:
    """The value of an expression that is written without braces, such as a condition."""
    return run_program(_valid(expression), scope)


def references(value: Any) -> set[tuple[str, ...]]:
    """The paths that templates in `value` name, such as `("load", "output", "rows")`; broken templates name none."""
    return {tuple(str(part) for part in use.path) for use in uses(value, "")}


def uses(value: Any, path: str) -> list[Use]:
    """Every reference in `value`, a document found at `path`; what is broken is left to `syntax_problems`."""
    try:
        texts = list(_texts(value, path))
    except ExpressionFailed:
        return []
    found: list[Use] = []
    for where, text in texts:
        try:
            parts = _split(text)
        except ExpressionSyntaxError:
            continue
        found += [Use(where, reference.path, reference.optional) for reference in _references(parts)]
    return found


def bare(text: str) -> str:
    """An expression without the braces that may be around the whole of it."""
    try:
        parts = _split(text.strip())
    except ExpressionSyntaxError:
        return text
    return parts[0].text if len(parts) == 1 and isinstance(parts[0], Program) else text


def expression_uses(expression: str, path: str) -> list[Use]:
    """Every reference in an expression that stands at `path`, braces around it or not; a broken one has none."""
    try:
        root = _valid(bare(expression)).root
    except ExpressionFailed:
        return []
    return [Use(path, reference.path, reference.optional) for reference in references_in(root)]


def expression_problems(expression: str, path: str) -> list[Problem]:
    """What keeps a text that stands at `path` from being one expression."""
    text = bare(expression)
    try:
        if len(text) <= _CACHED_LENGTH:
            _compiled(text)
            return []
        message = f"an expression has at most {_CACHED_LENGTH} characters; move work into a step"
    except ExpressionSyntaxError as error:
        message = f"character {error.position + 1}: {error}"
        if "{{" in text:
            message = "write one expression and no text around it: `load.output.rows > 10`"
    return [Problem(path=path, code="BAD_EXPRESSION", message=message)]


def syntax_problems(value: Any, path: str) -> list[Problem]:
    """What is wrong with the templates in `value`, a document found at `path`; at most one problem a text."""
    try:
        texts = list(_texts(value, path))
    except ExpressionFailed as error:
        return [Problem(path=path, code="BAD_EXPRESSION", message=error.message)]
    return [problem for where, text in texts if (problem := _syntax_problem(where, text)) is not None]


def _syntax_problem(path: str, text: str) -> Problem | None:
    try:
        parts = _split(text)
    except ExpressionSyntaxError as error:
        message = f"character {error.position + 1}: {error}"
        return Problem(path=path, code="BAD_EXPRESSION", message=message)
    if any("{%" in part for part in parts if isinstance(part, str)):
        message = "`{% … %}` is not available, only `{{ expression }}`; to write it as text: {{ '{%' }}"
        return Problem(path=path, code="BAD_EXPRESSION", message=message)
    return None


class _Rendering:
    """One walk over a document."""

    def __init__(self, scope: Mapping[str, Any]) -> None:
        self._scope = scope
        self._written = 0

    def fill(self, value: Any, depth: int) -> Any:
        if depth > MAX_NESTING:
            raise ExpressionFailed(f"templates are nested deeper than {MAX_NESTING} levels")
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, Mapping):
            return {key: self.fill(item, depth + 1) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.fill(item, depth + 1) for item in value]
        return value

    def _text(self, text: str) -> Any:
        if "{{" not in text:
            return text
        try:
            parts = _split(text)
        except ExpressionSyntaxError as error:
            raise ExpressionFailed(f"a template cannot be read: {error}") from error
        if len(parts) == 1 and isinstance(parts[0], Program):
            return self._counted(run_program(parts[0], self._scope), parts[0])
        return self._joined(parts)

    def _joined(self, parts: tuple[str | Program, ...]) -> str:
        written: list[str] = []
        length = 0
        for part in parts:
            written.append(part if isinstance(part, str) else text_of(run_program(part, self._scope)))
            length += len(written[-1])
            self._count(len(written[-1]))
            if length > MAX_OUTPUT:
                raise ExpressionFailed(f"a text would be larger than {MAX_OUTPUT // 1024} KiB")
        return "".join(written)

    def _counted(self, value: Any, origin: Program) -> Any:
        if isinstance(value, str) and not isinstance(origin.root, Reference):
            self._count(len(value))
        return value

    def _count(self, characters: int) -> None:
        self._written += characters
        if self._written > MAX_RENDERED:
            raise ExpressionFailed(f"the texts would be larger than {MAX_RENDERED // 1024} KiB together")


def _texts(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Every string in a document with its path, in written order."""
    waiting = [(path, value, 0)]
    while waiting:
        where, current, depth = waiting.pop()
        if depth > MAX_NESTING:
            raise ExpressionFailed(f"templates are nested deeper than {MAX_NESTING} levels")
        if isinstance(current, str):
            yield where, current
        elif isinstance(current, Mapping):
            inner = [(f"{where}.{key}" if where else str(key), item, depth + 1) for key, item in current.items()]
            waiting.extend(reversed(inner))
        elif isinstance(current, list | tuple):
            waiting.extend(reversed([(f"{where}[{index}]", item, depth + 1) for index, item in enumerate(current)]))


def _references(parts: tuple[str | Program, ...]) -> Iterator[Reference]:
    for part in parts:
        if isinstance(part, Program):
            yield from references_in(part.root)


def _split(text: str) -> tuple[str | Program, ...]:
    """A text as its literal pieces and programs; short ones are remembered."""
    if "{{" not in text:
        return (text,) if text else ()
    return _split_cached(text) if len(text) <= _CACHED_LENGTH else _split_anew(text)


def _split_anew(text: str) -> tuple[str | Program, ...]:
    if len(text) > MAX_TEMPLATE:
        raise ExpressionSyntaxError(f"a text with `{{{{` has at most {MAX_TEMPLATE // 1024} KiB", 0)
    parts: list[str | Program] = []
    position = 0
    while (opening := text.find("{{", position)) >= 0:
        if opening > position:
            parts.append(text[position:opening])
        found, position = tokens(text, opening + 2, braced=True)
        parts.append(program(text[opening + 2 : position - 2].strip(), Parser(found).parse()))
    if position < len(text):
        parts.append(text[position:])
    return tuple(parts)


_split_cached = lru_cache(maxsize=1_024)(_split_anew)


@lru_cache(maxsize=1_024)
def _compiled(expression: str) -> Program:
    found, _ = tokens(expression, 0, braced=False)
    return program(expression.strip(), Parser(found).parse())


def _valid(expression: str) -> Program:
    if len(expression) > _CACHED_LENGTH:
        raise ExpressionFailed(f"an expression has at most {_CACHED_LENGTH} characters")
    try:
        return _compiled(expression)
    except ExpressionSyntaxError as error:
        raise ExpressionFailed(f"the expression cannot be read: {error}") from error
