"""The operations of DATA agents, one model each; the docstring of a model is its manual."""

from typing import Annotated

from pydantic import Field

from agents.data.operations.aggregates import Group, Pivot, Reduce, Unpivot
from agents.data.operations.columns import Cast, Drop, Explode, FillNull, Map, Rename, Select, Unnest
from agents.data.operations.rows import DropNulls, Filter, Limit, Sample, Sort, Unique
from agents.data.operations.tables import Concat, Join, Sql
from agents.data.operations.windows import Rolling, Window

AnyOperation = Annotated[
    Filter
    | Select
    | Drop
    | Rename
    | Cast
    | Map
    | FillNull
    | DropNulls
    | Unique
    | Sort
    | Limit
    | Sample
    | Explode
    | Unnest
    | Join
    | Concat
    | Group
    | Pivot
    | Unpivot
    | Window
    | Rolling
    | Reduce
    | Sql,
    Field(discriminator="op"),
]

__all__ = ["AnyOperation"]
