"""Sums of narrow whole numbers are 64 bits wide, as in SQL: those of Polars keep 32 bits and overflow silently."""

import io
import json
from typing import Any

import polars as pl

_NARROW = (pl.Int32(), pl.UInt32())
"""Polars itself widens what is narrower."""


def with_wide_sums(expression: pl.Expr, schema: pl.Schema) -> pl.Expr:
    """The same expression, in which `SUM` of a 32-bit column gives an Int64."""
    narrow = {name for name in expression.meta.root_names() if schema.get(name) in _NARROW}
    if not narrow:
        return expression
    tree = json.loads(expression.meta.serialize(format="json"))
    wide = _widened(tree, schema)
    return expression if wide == tree else _expression(wide)


def _widened(node: Any, schema: pl.Schema) -> Any:
    if isinstance(node, list):
        return [_widened(item, schema) for item in node]
    if not isinstance(node, dict):
        return node
    summed = node.get("Sum")
    if summed is not None and _is_narrow(summed, schema):
        return {"Sum": {"Cast": {"expr": summed, "dtype": {"Literal": "Int64"}, "options": "Strict"}}}
    return {key: _widened(value, schema) for key, value in node.items()}


def _is_narrow(node: Any, schema: pl.Schema) -> bool:
    kind = pl.LazyFrame(schema=schema).select(_expression(node).alias("x")).collect_schema()["x"]
    return kind in _NARROW


def _expression(tree: Any) -> pl.Expr:
    return pl.Expr.deserialize(io.BytesIO(json.dumps(tree).encode()), format="json")
