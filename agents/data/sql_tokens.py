"""Splits SQL into tokens, as far as the guard needs: what is code, what is a name, what is text.

It is stricter than Polars' own reader: spellings on which two readers could disagree (prefixed strings, dollar quotes,
block comments) are refused, so that nothing can be code to Polars and text to the guard.
"""

import re
from dataclasses import dataclass
from enum import Enum, auto

_TOKEN = re.compile(
    r"""(?P<blank>\s+|--[^\n]*)
    |(?P<text>'(?:[^']|'')*')
    |(?P<quoted>"(?:[^"]|"")*"|`(?:[^`]|``)*`)
    |(?P<number>\d[\w.]*)
    |(?P<word>[^\W\d]\w*)
    |(?P<sign>.)""",
    re.VERBOSE | re.DOTALL,
)
_PREFIXES_OF_BYTES = ("x", "b")


class TokenKind(Enum):
    """What a token is to the guard."""

    TEXT = auto()
    QUOTED = auto()
    NUMBER = auto()
    WORD = auto()
    SIGN = auto()


@dataclass(frozen=True, slots=True)
class Token:
    """`value` is lower-case for words, without its quotes for quoted names."""

    kind: TokenKind
    value: str

    @property
    def is_name(self) -> bool:
        return self.kind in (TokenKind.WORD, TokenKind.QUOTED)

    def is_word(self, *words: str) -> bool:
        """Whether this is one of the keywords `words`, unquoted."""
        return self.kind is TokenKind.WORD and self.value in words

    def is_sign(self, *signs: str) -> bool:
        """Whether this is one of the punctuation marks `signs`."""
        return self.kind is TokenKind.SIGN and self.value in signs


class BadSql(ValueError):
    """The SQL is refused; the message says why and what to write instead."""


def tokens_of(sql: str) -> list[Token]:
    """The tokens of `sql` without blanks and comments; raises `BadSql`."""
    found: list[Token] = []
    glued: Token | None = None
    for match in _TOKEN.finditer(sql):
        if match.lastgroup == "blank":
            glued = None
            continue
        token = _token(match)
        _refuse_odd_spelling(glued, token)
        found.append(token)
        glued = token
    return found


def _token(match: re.Match[str]) -> Token:
    kind = TokenKind[(match.lastgroup or "").upper()]
    text = match.group()
    if kind is TokenKind.QUOTED:
        return Token(kind, text[1:-1].replace(text[0] * 2, text[0]))
    return Token(kind, text.lower() if kind is TokenKind.WORD else text)


def _refuse_odd_spelling(before: Token | None, token: Token) -> None:
    """`before` is the token that touches this one, without a blank between."""
    if token.is_sign("'", '"', "`"):
        message = f"a {token.value} is opened and never closed"
        raise BadSql(message)
    if token.is_sign("$", ";", "\\", "\0"):
        message = f"{token.value!r} has no place here; one expression or query, with texts in '…'"
        raise BadSql(message)
    if before is None:
        return
    if before.is_sign("/") and token.is_sign("*"):
        message = "comments are written as -- to the end of the line, not /* … */"
        raise BadSql(message)
    touches = before.kind in (TokenKind.WORD, TokenKind.NUMBER) and token.kind in (TokenKind.TEXT, TokenKind.QUOTED)
    if touches and before.value not in _PREFIXES_OF_BYTES:
        message = f"put a blank between {before.value} and the quote that follows it"
        raise BadSql(message)
