"""What SQL of an agent may not do: read files by itself, change tables, or blow up while it is parsed.

Polars' SQL knows table functions (`read_csv('/etc/passwd')`) that open any file or URL as soon as the text is parsed,
also in a sub-query of an expression, and some nested calls grow exponentially. So the guard comes before the parser.
"""

import re
import unicodedata
from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise

from agents.data.sql_tokens import BadSql, Token, TokenKind, tokens_of
from agents.data.suggestions import listed

MAX_LENGTH = 20_000
MAX_OPERATORS = 500
MAX_GROWTH = 12.0
"""Binary logarithm of how often the innermost part may be repeated in the parsed plan."""

MAX_PADDING = 10_000

_PADS = ("lpad", "rpad")
_READERS = re.compile(
    r"(read|scan)_(csv|parquet|ipc|json|ndjson|feather|arrow|avro|excel|ods|delta|iceberg|database|lines)"
)
_TABLE_FUNCTIONS = ("unnest",)
_CALLS_WITH_FROM = ("extract", "substring", "trim", "overlay", "position", "ceil", "floor")
_GROWTH_OF_CALLS = {
    # Polars writes their argument several times into the plan; log2 of the factor, measured
    "array_get": 3.4,
    "left": 3.2,
    "right": 3.2,
    "split_part": 3.2,
    "substr": 2.7,
    "substring": 2.7,
    "sum": 2.0,
}
_GROWTH_OF_CALL = 1.0
_GROWTH_OF_BRACKET = 0.5


def check_expression(text: str) -> None:
    """Raises `BadSql` unless `text` is one expression that touches nothing but the columns of its row."""
    end = Token(TokenKind.SIGN, "")
    for before, token, after in _triples(_checked_tokens(text), end):
        opens = before.is_sign("(") and (
            token.is_word("from")
            or (token.is_word("values") and after.is_sign("("))
            or (token.is_word("table") and after.is_name)
        )
        if opens or token.is_word("select"):
            message = 'sub-queries have no place in an expression; use the operation "sql"'
            raise BadSql(message)


def check_query(text: str, tables: Collection[str]) -> None:
    """Raises `BadSql` unless `text` is one SELECT or WITH query that reads from `tables` only.

    Tables behind a comma are left to Polars, which knows no others than it is given.
    """
    tokens = _checked_tokens(text)
    if not tokens or not tokens[0].is_word("select", "with"):
        message = "a query begins with SELECT or WITH"
        raise BadSql(message)
    known = {name.lower() for name in tables} | set(_common_tables(tokens))
    for name, is_function in _tables_read(tokens):
        if is_function:
            message = f'"{name}" is no table; files are read by "source" and "with", the query reads {listed(tables)}'
            raise BadSql(message)
        if name.lower() not in known:
            message = f'no table is called "{name}"; there are: {listed(tables)}; name others under "with"'
            raise BadSql(message)


def _checked_tokens(text: str) -> list[Token]:
    if len(text) > MAX_LENGTH:
        message = f"at most {MAX_LENGTH} characters, this has {len(text)}"
        raise BadSql(message)
    _refuse_readers(text)
    tokens = tokens_of(text)
    _refuse_bombs(tokens)
    _refuse_padding(tokens)
    return tokens


def _refuse_readers(text: str) -> None:
    """On the raw text, so that no way of quoting can hide a name; the price is that no column may be called so."""
    found = _READERS.search(unicodedata.normalize("NFKC", text).casefold())
    if found is not None:
        message = f'"{found.group()}" may not appear in SQL; files are read by "source" and "with"'
        raise BadSql(message)


def _refuse_bombs(tokens: Sequence[Token]) -> None:
    operators = sum(token.kind in (TokenKind.WORD, TokenKind.SIGN) and not token.is_sign(",") for token in tokens)
    if operators > MAX_OPERATORS:
        message = f"at most {MAX_OPERATORS} names and operators, this has {operators}; split it over several columns"
        raise BadSql(message)
    open_growths: list[float] = []
    for before, token in pairwise([Token(TokenKind.SIGN, ""), *tokens]):
        if token.is_sign("(", "[", "{") or token.is_word("case"):
            open_growths.append(_growth(before, token))
        elif (token.is_sign(")", "]", "}") or token.is_word("end")) and open_growths:
            open_growths.pop()
        if sum(open_growths) > MAX_GROWTH:
            message = "nested too deep; compute the inner parts as columns of their own first"
            raise BadSql(message)


def _refuse_padding(tokens: Sequence[Token]) -> None:
    """One call asks for its memory in one piece, at which no query can be stopped."""
    pads = any(token.is_name and token.value.lower() in _PADS for token in tokens)
    if pads and any(token.kind is TokenKind.NUMBER and _is_too_long(token.value) for token in tokens):
        message = f"texts are padded to at most {MAX_PADDING} characters"
        raise BadSql(message)


def _is_too_long(number: str) -> bool:
    try:
        return float(number.replace("_", "")) > MAX_PADDING
    except ValueError:
        return True


def _growth(before: Token, token: Token) -> float:
    if not token.is_sign("(") or not before.is_name:
        return _GROWTH_OF_BRACKET
    return _GROWTH_OF_CALLS.get(before.value.lower(), _GROWTH_OF_CALL)


def _triples(tokens: Sequence[Token], end: Token) -> Iterator[tuple[Token, Token, Token]]:
    """Each token with its neighbours; `end` stands beyond both ends."""
    return zip([end, *tokens], tokens, [*tokens[1:], end], strict=False)


def _common_tables(tokens: Sequence[Token]) -> Iterator[str]:
    """Names that the query gives to its own sub-queries: `WITH name AS (`."""
    for index, token in enumerate(tokens[:-2]):
        if token.is_name and tokens[index + 1].is_word("as") and tokens[index + 2].is_sign("("):
            yield token.value.lower()


def _tables_read(tokens: Sequence[Token]) -> Iterator[tuple[str, bool]]:
    """Each name that follows FROM or JOIN, and whether it is called like a function."""
    callers: list[Token] = []
    table_is_due = False
    end = Token(TokenKind.SIGN, "")
    for before, token, after in _triples(tokens, end):
        is_call = after.is_sign("(")
        if table_is_due and token.is_name and not (is_call and token.value.lower() in _TABLE_FUNCTIONS):
            yield token.value, is_call
        # `x IS DISTINCT FROM y` and `EXTRACT(YEAR FROM x)` name no table
        is_clause = not before.is_word("distinct") and not (callers and callers[-1].is_word(*_CALLS_WITH_FROM))
        table_is_due = token.is_word("join") or (token.is_word("from") and is_clause)
        if token.is_sign("("):
            callers.append(before)
        elif token.is_sign(")") and callers:
            callers.pop()
