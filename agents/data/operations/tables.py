"""Operations that bring in other tables."""

from collections.abc import Mapping
from typing import Literal

import polars as pl
from pydantic import Field, ValidationInfo, field_validator, model_validator

from agents.data.expressions import require_columns
from agents.data.failures import polars_reason
from agents.data.model import is_unfilled, refuse
from agents.data.operations.base import Operation, Tables
from agents.data.sources import AnySource, Source
from agents.data.sql_guard import check_query
from agents.data.sql_tokens import BadSql

SELF = "self"
"""The table under which a query sees the rows that came so far."""


class Join(Operation):
    """`{"op": "join", "with": {"input": "weather"}, "how": "left", "on": ["origin", "time_hour"]}`.

    `with` is a source; the keys are `on`, or `leftOn` and `rightOn` where the names differ (`cross` has none). `semi`
    and `anti` keep the rows that have a partner or have none. `validate` fails the step where a key that should be
    met once is met twice: `1:1`, `1:m`, `m:1`. Columns of the other table whose name is taken get `suffix`. Rows come
    in no order unless `maintainOrder` asks for that of this table (slower).
    """

    multiplies = True

    op: Literal["join"]
    other: Source = Field(alias="with")
    how: Literal["inner", "left", "right", "full", "semi", "anti", "cross"] = "inner"
    on: list[str] | None = Field(default=None, min_length=1)
    left_on: list[str] | None = Field(default=None, min_length=1)
    right_on: list[str] | None = Field(default=None, min_length=1)
    suffix: str = Field(default="_right", min_length=1)
    validation: Literal["m:m", "m:1", "1:m", "1:1"] = Field(default="m:m", alias="validate")
    nulls_equal: bool = False
    maintain_order: bool = False

    @property
    def explodes(self) -> bool:
        return self.how == "cross"

    def sources(self) -> Mapping[str, AnySource]:
        return {"with": self.other}

    @model_validator(mode="after")
    def _has_keys(self) -> "Join":
        given = (self.on is not None, self.left_on is not None, self.right_on is not None)
        if self.how == "cross":
            if any(given):
                raise refuse("BAD_CONFIG", 'a cross join has no keys: leave out "on", "leftOn" and "rightOn"')
            return self
        if given not in ((True, False, False), (False, True, True)):
            raise refuse("MISSING_FIELD", 'give "on", or both "leftOn" and "rightOn"')
        if self.left_on and self.right_on and len(self.left_on) != len(self.right_on):
            raise refuse("BAD_CONFIG", '"leftOn" and "rightOn" must name equally many columns')
        return self

    def apply(self, frame: pl.LazyFrame, tables: Tables) -> pl.LazyFrame:
        other = tables.read(self.other, "with")
        if self.how == "cross":
            return frame.join(other, how="cross", suffix=self.suffix)
        left, right = self.left_on or self.on or [], self.right_on or self.on or []
        require_columns(left, frame.collect_schema())
        require_columns(right, other.collect_schema())
        return frame.join(
            other,
            left_on=left,
            right_on=right,
            how=self.how,
            suffix=self.suffix,
            validate=self.validation,
            nulls_equal=self.nulls_equal,
            coalesce=True if self.how in ("left", "right", "full") else None,
            maintain_order="left" if self.maintain_order else None,
        )


class Concat(Operation):
    """`{"op": "concat", "with": [{"input": "february"}], "how": "vertical"}`: other tables below or beside this one.

    `vertical` wants the same columns everywhere, in any order; `diagonal` fills the missing ones with nulls,
    `horizontal` puts columns side by side. `relaxed` lets columns of the same name differ in type and takes the wider
    one.
    """

    multiplies = True

    op: Literal["concat"]
    others: list[Source] = Field(alias="with", min_length=1)
    how: Literal["vertical", "diagonal", "horizontal"] = "vertical"
    relaxed: bool = False

    def sources(self) -> Mapping[str, AnySource]:
        return {f"with[{index}]": source for index, source in enumerate(self.others)}

    def apply(self, frame: pl.LazyFrame, tables: Tables) -> pl.LazyFrame:
        others = [tables.read(source, path) for path, source in self.sources().items()]
        if self.how == "vertical":
            others = [_in_order(other, frame.collect_schema().names()) for other in others]
        frames = [frame, *others]
        match (self.how, self.relaxed):
            case ("horizontal", _):
                return pl.concat(frames, how="horizontal")
            case ("vertical", False):
                return pl.concat(frames, how="vertical")
            case ("vertical", True):
                return pl.concat(frames, how="vertical_relaxed")
            case (_, False):
                return pl.concat(frames, how="diagonal")
            case _:
                return pl.concat(frames, how="diagonal_relaxed")


def _in_order(frame: pl.LazyFrame, names: list[str]) -> pl.LazyFrame:
    """Polars puts tables below each other by position; other columns are left for it to refuse."""
    found = frame.collect_schema().names()
    return frame.select(names) if found != names and set(found) == set(names) else frame


class Sql(Operation):
    """`{"op": "sql", "query": "SELECT carrier, COUNT(*) AS n FROM self GROUP BY carrier", "with": {"planes": {…}}}`.

    One SELECT (or WITH … SELECT) in the SQL of Polars. `self` is the table so far, others are the sources named under
    `with`; nothing else can be read.
    """

    multiplies = True

    op: Literal["sql"]
    query: str
    others: dict[str, Source] = Field(default_factory=dict, alias="with")

    @field_validator("others")
    @classmethod
    def _leaves_self(cls, value: dict[str, Source]) -> dict[str, Source]:
        if any(name.lower() == SELF for name in value):
            raise refuse("BAD_CONFIG", f'"{SELF}" is the table so far; choose another name')
        return value

    @model_validator(mode="after")
    def _is_one_query(self, info: ValidationInfo) -> "Sql":
        if is_unfilled(self.query, info):
            return self
        try:
            self._check()
        except BadSql as error:
            raise refuse("BAD_EXPRESSION", f"query: {error}") from None
        return self

    def sources(self) -> Mapping[str, AnySource]:
        return {f"with.{name}": source for name, source in self.others.items()}

    def apply(self, frame: pl.LazyFrame, tables: Tables) -> pl.LazyFrame:
        self._check()
        others = {name: tables.read(source, f"with.{name}") for name, source in self.others.items()}
        return _context({SELF: frame, **others}).execute(self.query)

    def _check(self) -> None:
        """Raises `BadSql`. Polars tries the query on tables without columns, since none are known yet."""
        names = [SELF, *self.others]
        check_query(self.query, names)
        try:
            _context({name: pl.LazyFrame() for name in names}).execute(self.query).collect_schema()
        except pl.exceptions.PolarsError as error:
            reason = polars_reason(error)
            if any(mark in reason for mark in _CERTAIN):
                raise BadSql(reason) from error


_CERTAIN = (
    "was not found",
    "sql parser error",
    "unsupported function",
    "table function",
    "one statement",
    "not supported:",
)
"""Marks of messages that hold whatever the columns are."""


def _context(frames: dict[str, pl.LazyFrame]) -> "pl.SQLContext[pl.LazyFrame]":
    return pl.SQLContext(frames, register_globals=False, eager=False)
