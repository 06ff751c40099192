"""Cuts the text of one expression into tokens. Knows nothing of grammar; see `parser`."""

import re
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""\s+
    | (?P<number>[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)
    | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    | (?P<operator>\*\*|//|==|!=|<=|>=|[-+*/%~|.,:()\[\]{}<>=])""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", "'": "'", '"': '"', "/": "/"}


class ExpressionSyntaxError(ValueError):
    """The text is no expression of ours. `args[0]` says why; `position` counts characters from the text's start."""

    def __init__(self, message: str, position: int) -> None:
        super().__init__(message)
        self.position = position


@dataclass(frozen=True, slots=True)
class Token:
    """`kind` is number, name, string, operator or end; a string's `text` is already unescaped."""

    kind: str
    text: str
    position: int
    end: int


def tokens(text: str, start: int, *, braced: bool) -> tuple[list[Token], int]:
    """Reads from `start` to the end of `text`, or when `braced` to the closing `}}`; gives where reading stopped."""
    found: list[Token] = []
    depth = 0
    position = start
    while position < len(text):
        if braced and depth == 0 and text.startswith("}}", position):
            found.append(Token("end", "}}", position, position + 2))
            return found, position + 2
        token, position = _next(text, position)
        if token is None:
            continue
        depth += _nesting(token)
        found.append(token)
    if braced:
        raise ExpressionSyntaxError("`{{` is never closed; write `}}` after the expression", start)
    found.append(Token("end", "the end", position, position))
    return found, position


def _next(text: str, position: int) -> tuple[Token | None, int]:
    match = _TOKEN.match(text, position)
    if match is None:
        raise ExpressionSyntaxError(_unreadable(text[position]), position)
    kind = match.lastgroup
    if kind is None:
        return None, match.end()
    literal = match.group()
    return Token(
        kind, _unescape(literal, position) if kind == "string" else literal, position, match.end()
    ), match.end()


def _unreadable(character: str) -> str:
    if character in "\"'":
        return "a string is never closed"
    return f"{character!r} means nothing in an expression"


def _nesting(token: Token) -> int:
    if token.kind != "operator":
        return 0
    return (token.text in "([{") - (token.text in ")]}")


def _unescape(literal: str, position: int) -> str:
    def replace(match: re.Match[str]) -> str:
        escape = match.group(1)
        if len(escape) == 5:
            return chr(int(escape[1:], 16))
        if escape not in _ESCAPED:
            raise ExpressionSyntaxError(f"unknown escape `\\{escape}` in a string", position)
        return _ESCAPED[escape]

    value = _ESCAPE.sub(replace, literal[1:-1])
    paired = value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if any("\ud800" <= character <= "\udfff" for character in value) and "\ufffd" in paired:
        raise ExpressionSyntaxError("a string holds half of a surrogate pair", position)
    return paired
