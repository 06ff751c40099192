"""Reads an expression into `nodes`. This is the gate before MiniJinja: what is not read here never reaches it.

The grammar is the expression half of Jinja, with MiniJinja's precedence, less everything that calls, assigns or loops:
no method calls, no functions, no statements, only the filters and tests that `filters` lists. An `if` needs its `else`.
Size is bounded (`MAX_NODES`, `MAX_DEPTH`), because MiniJinja itself overflows the native stack on very long chains.
"""

from dataclasses import replace
from difflib import get_close_matches

from flows.compiler.filters import FILTERS
from flows.compiler.lexer import ExpressionSyntaxError, Token
from flows.compiler.nodes import (
    Chain,
    DictOf,
    Dig,
    Filter,
    ListOf,
    Literal,
    Node,
    Reference,
    Slice,
    Ternary,
    Test,
    Unary,
    children,
)
from flows.compiler.operations import TESTS

MAX_NODES = 256
MAX_DEPTH = 32

_LEVELS = {
    "or": 0,
    "and": 1,
    "==": 3,
    "!=": 3,
    "<": 3,
    "<=": 3,
    ">": 3,
    ">=": 3,
    "in": 3,
    "not in": 3,
    "+": 4,
    "-": 4,
    "~": 5,
    "*": 6,
    "/": 6,
    "//": 6,
    "%": 6,
    "**": 7,
}
_NOT_LEVEL = 2
_COMPARISON_LEVEL = 3
_FLAT = frozenset({"or", "and", "+", "~"})
_WORDS = {"true": True, "True": True, "false": False, "False": False, "none": None, "None": None}
KEYWORDS = frozenset({*_WORDS, "and", "or", "not", "in", "is", "if", "else"})
_TOO_DEEP = f"the expression is nested deeper than {MAX_DEPTH} levels; move work into a step"
_MAX_INTEGER = 2**63 - 1


class Parser:
    """Reads one expression from `tokens`, which end with a token of kind `end`."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0
        self._nodes = 0

    def parse(self) -> Node:
        """The whole expression; raises `ExpressionSyntaxError`."""
        node = self._ternary()
        if self._peek.kind != "end":
            raise self._unexpected("an operator or the end")
        if height(node) > MAX_DEPTH:
            raise self._refused(_TOO_DEEP)
        return node

    @property
    def _peek(self) -> Token:
        return self._tokens[self._at]

    def _take(self) -> Token:
        token = self._tokens[self._at]
        self._at += 1
        return token

    def _is(self, *texts: str) -> bool:
        return self._peek.kind in ("operator", "name") and self._peek.text in texts

    def _accept(self, text: str) -> bool:
        if not self._is(text):
            return False
        self._at += 1
        return True

    def _expect(self, text: str) -> None:
        if not self._accept(text):
            raise self._unexpected(f"`{text}`")

    def _unexpected(self, wanted: str) -> ExpressionSyntaxError:
        found = self._peek
        return ExpressionSyntaxError(f"found `{found.text}` where {wanted} was expected", found.position)

    def _refused(self, message: str) -> ExpressionSyntaxError:
        return ExpressionSyntaxError(message, self._peek.position)

    def _count(self) -> None:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise self._refused(
                f"the expression is too long: at most {MAX_NODES} values and operators; move work into a step"
            )

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._refused(_TOO_DEEP)

    def _ternary(self) -> Node:
        self._deeper()
        value = self._binary(0)
        if self._accept("if"):
            self._count()
            condition = self._binary(0)
            if not self._accept("else"):
                raise self._refused("`if` needs an `else` that says which value there is otherwise")
            value = Ternary(condition, value, self._ternary())
        self._depth -= 1
        return value

    def _binary(self, lowest: int) -> Node:
        self._deeper()
        left = self._operand(lowest)
        compared = False
        while (operator := self._operator(lowest)) is not None:
            self._count()
            if compared and _LEVELS[operator] == _COMPARISON_LEVEL:
                raise self._refused("compare two values at a time and join comparisons with `and`")
            compared = _LEVELS[operator] == _COMPARISON_LEVEL
            right = self._binary(_LEVELS[operator] + 1)
            left = _joined(operator, left, right)
        self._depth -= 1
        return left

    def _operator(self, lowest: int) -> str | None:
        text = self._peek.text if self._peek.kind in ("operator", "name") else ""
        following = self._tokens[self._at + 1] if text == "not" else None
        if following is not None and following.kind == "name" and following.text == "in":
            text = "not in"
        if _LEVELS.get(text, -1) < lowest:
            return None
        self._at += 2 if text == "not in" else 1
        return text

    def _operand(self, lowest: int) -> Node:
        if not self._is("not"):
            return self._filtered()
        if lowest > _NOT_LEVEL:
            raise self._unexpected("a value")
        self._take()
        self._count()
        return Unary("not", self._binary(_NOT_LEVEL))

    def _filtered(self) -> Node:
        negations = 0
        while self._accept("-"):
            self._count()
            negations += 1
        node = self._postfixed()
        for _ in range(negations):
            node = Unary("-", node)
        while self._is("|", "is"):
            self._count()
            node = self._filter(node) if self._take().text == "|" else self._test(node)
        return node

    def _postfixed(self) -> Node:
        node = self._primary()
        while self._is(".", "[", "("):
            self._count()
            opening = self._take().text
            if opening == "(":
                raise self._refused("calls are not part of expressions; use a filter, such as `value | length`")
            node = _member(node, Literal(self._member_name())) if opening == "." else self._subscript(node)
        return node

    def _member_name(self) -> str:
        if self._peek.kind != "name":
            raise self._unexpected("a field's name")
        return self._take().text

    def _subscript(self, base: Node) -> Node:
        start = None if self._is(":") else self._ternary()
        if not self._accept(":"):
            self._expect("]")
            assert start is not None
            return _member(base, start)
        stop = None if self._is("]") else self._ternary()
        self._expect("]")
        return Slice(base, start, stop)

    def _primary(self) -> Node:
        self._count()
        token = self._peek
        if token.kind in ("string", "number"):
            self._take()
            return Literal(token.text if token.kind == "string" else self._number(token))
        if token.kind == "name":
            return self._name()
        if self._accept("("):
            inner = self._ternary()
            self._expect(")")
            return inner
        if self._accept("["):
            return ListOf(self._items("]"))
        if self._accept("{"):
            return self._mapping()
        raise self._unexpected("a value")

    def _number(self, token: Token) -> int | float:
        if len(token.text) > 40:
            raise ExpressionSyntaxError("the number has too many digits", token.position)
        if token.text.isdigit() and int(token.text) <= _MAX_INTEGER:
            return int(token.text)
        number = float(token.text)
        if token.text.isdigit() or number == float("inf"):
            raise ExpressionSyntaxError("the number is too large; whole numbers have 64 bits", token.position)
        return number

    def _name(self) -> Node:
        token = self._take()
        if token.text in _WORDS:
            return Literal(_WORDS[token.text])
        if token.text in KEYWORDS:
            self._at -= 1
            raise self._unexpected("a value")
        return Reference((token.text,))

    def _items(self, closing: str) -> tuple[Node, ...]:
        items: list[Node] = []
        while not self._accept(closing):
            items.append(self._ternary())
            if not self._is(closing):
                self._expect(",")
        return tuple(items)

    def _mapping(self) -> Node:
        pairs: list[tuple[Node, Node]] = []
        while not self._accept("}"):
            key = self._ternary()
            self._expect(":")
            pairs.append((key, self._ternary()))
            if not self._is("}"):
                self._expect(",")
        return DictOf(tuple(pairs))

    def _filter(self, operand: Node) -> Node:
        name = self._known("filter", frozenset(FILTERS))
        arguments: list[Node] = []
        named: list[tuple[str, Node]] = []
        if self._accept("("):
            while not self._accept(")"):
                if self._names_argument():
                    key = self._take().text
                    self._take()
                    named.append((key, self._ternary()))
                else:
                    arguments.append(self._ternary())
                if not self._is(")"):
                    self._expect(",")
        self._check_arguments(name, len(arguments), [key for key, _ in named])
        asked = optional(operand) if name in ("default", "d") else operand
        return Filter(name, asked, tuple(arguments), tuple(named))

    def _names_argument(self) -> bool:
        following = self._tokens[self._at + 1 : self._at + 2]
        return self._peek.kind == "name" and [(each.kind, each.text) for each in following] == [("operator", "=")]

    def _check_arguments(self, name: str, positional: int, named: list[str]) -> None:
        wrong = FILTERS[name].misuse(positional, named)
        if wrong is not None:
            raise self._refused(f"filter `{name}` {wrong}")

    def _test(self, operand: Node) -> Node:
        negated = self._accept("not")
        name = self._known("test", TESTS)
        node = Test(name, optional(operand) if name in ("defined", "undefined") else operand)
        return Unary("not", node) if negated else node

    def _known(self, what: str, known: frozenset[str]) -> str:
        token = self._peek
        if token.kind != "name":
            raise self._unexpected(f"a {what}'s name")
        if token.text not in known:
            near = get_close_matches(token.text, known, n=1)
            hint = f"did you mean `{near[0]}`?" if near else f"there are: {', '.join(sorted(known))}"
            raise self._refused(f"there is no {what} `{token.text}`; {hint}")
        return self._take().text


def optional(node: Node) -> Node:
    """The same value, missing data allowed."""
    if isinstance(node, Reference):
        return replace(node, optional=True)
    if isinstance(node, Dig):
        return replace(node, base=optional(node.base), optional=True)
    if isinstance(node, Filter) and node.name in ("first", "last", "min", "max"):
        return replace(node, operand=optional(node.operand), optional=True)
    return node


def _joined(operator: str, left: Node, right: Node) -> Node:
    if operator in _FLAT and isinstance(left, Chain) and left.operator == operator:
        return Chain(operator, (*left.operands, right))
    return Chain(operator, (left, right))


def height(node: Node) -> int:
    """Levels from the root to the deepest leaf."""
    deepest = 0
    waiting = [(node, 1)]
    while waiting:
        current, level = waiting.pop()
        deepest = max(deepest, level)
        waiting.extend((child, level + 1) for child in children(current))
    return deepest


def _member(base: Node, key: Node) -> Node:
    if isinstance(base, Reference) and isinstance(key, Literal) and type(key.value) in (str, int):
        assert isinstance(key.value, str | int)
        return Reference((*base.path, key.value))
    if isinstance(key, Unary) and isinstance(key.operand, Literal) and type(key.operand.value) is int:
        return _member(base, Literal(-key.operand.value))
    if isinstance(base, Dig):
        return Dig(base.base, (*base.keys, key))
    return Dig(base, (key,))
