"""What a chart shows of a table: few enough rows for a picture, as JSON.

Columns are called x, y and color from here on, so that nothing of their names is left for a library to interpret.
"""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import polars as pl

from agents.data.charts.config import AnyChart, HeatMap, Histogram
from agents.data.expressions import require_columns
from agents.data.failures import OperationRefused
from agents.data.json_rows import json_rows

MAX_BARS = 100
MAX_POINTS = 5_000
MAX_CELLS = 10_000
MAX_TEXT = 60
_SEED = 0

Scale = Literal["quantitative", "temporal", "nominal"]


@dataclass(frozen=True)
class Figure:
    """`scales` says of each of x, y and color how it is measured; `note` what is left out."""

    kind: str
    rows: list[dict[str, Any]]
    scales: dict[str, Scale]
    titles: dict[str, str]
    title: str | None
    width: int
    height: int
    stacked: bool = True
    note: str | None = None
    formats: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """For the process that draws it."""
        return asdict(self)


def require_drawable(chart: AnyChart, schema: pl.Schema) -> None:
    """Raises `ColumnMissing` or `OperationRefused` where the chart does not fit the columns."""
    require_columns(chart.columns(), schema)
    for name in chart.measures():
        if not schema[name].is_numeric():
            message = f'column "{name}" is {schema[name]}; this chart needs numbers there: cast it first'
            raise OperationRefused(message)
    nested = [name for name in chart.columns() if schema[name].is_nested()]
    if nested:
        raise OperationRefused(f'column "{nested[0]}" is {schema[nested[0]]}, which no chart can show')


def make_figure(chart: AnyChart, table: pl.LazyFrame) -> Figure:
    """Reads what the chart shows of `table`, which `require_drawable` has seen."""
    if isinstance(chart, Histogram):
        return _histogram(chart, table)
    picked = {"x": chart.x, "y": chart.y} | ({"color": chart.color} if chart.color else {})
    schema = table.collect_schema()
    columns = table.select(_plain(pl.col(name), schema[name]).alias(role) for role, name in picked.items())
    total = int(table.select(pl.len()).collect().item())
    shown, note = _bounded(chart.kind, columns, total)
    scales = {role: _scale(schema[name]) for role, name in picked.items()}
    if chart.kind in ("bar", "heatmap") and scales["x"] == "quantitative":
        scales["x"] = "nominal"
    if isinstance(chart, HeatMap) and scales["y"] == "quantitative":
        scales["y"] = "nominal"
    return Figure(
        kind=chart.kind,
        rows=json_rows(shown),
        scales=scales,
        titles=_titles(chart, picked),
        title=chart.title,
        width=chart.width,
        height=chart.height,
        stacked=getattr(chart, "stacked", True),
        note=note,
        formats=list(chart.formats),
    )


def _histogram(chart: Histogram, table: pl.LazyFrame) -> Figure:
    """Counted over all rows, however many; only the bins are drawn."""
    value = pl.col(chart.x).cast(pl.Float64)
    kept = table.select(value.alias("v")).filter(pl.col("v").is_finite())
    if chart.min is not None:
        kept = kept.filter(pl.col("v") >= chart.min)
    if chart.max is not None:
        kept = kept.filter(pl.col("v") <= chart.max)
    low, high = kept.select(low=pl.col("v").min(), high=pl.col("v").max()).collect(engine="streaming").row(0)
    rows: list[dict[str, Any]] = []
    if low is not None:
        width = (high - low) / chart.bins or 1.0
        number = ((pl.col("v") - low) / width).floor().clip(0, chart.bins - 1).cast(pl.Int64)
        counts = kept.group_by(number.alias("bin")).len().sort("bin").collect(engine="streaming")
        rows = [{"x": low + at * width, "x2": low + (at + 1) * width, "y": count} for at, count in counts.rows()]
    titles = _titles(chart, {"x": chart.x, "y": "rows"})
    scales: dict[str, Scale] = {"x": "quantitative", "y": "quantitative"}
    return Figure(
        "histogram", rows, scales, titles, chart.title, chart.width, chart.height, formats=list(chart.formats)
    )


def _bounded(kind: str, columns: pl.LazyFrame, total: int) -> tuple[pl.DataFrame, str | None]:
    match kind:
        case "bar" | "heatmap":
            most = MAX_BARS if kind == "bar" else MAX_CELLS
            shown, how = columns.head(most), f"the first {most:,} of {total:,} rows"
        case "line":
            most = MAX_POINTS
            shown, how = columns.gather_every(-(-total // most) or 1), f"every {-(-total // most)}th of {total:,} rows"
        case _:
            most = MAX_POINTS
            chosen = pl.int_range(pl.len()).shuffle(_SEED) < most
            shown, how = columns.filter(chosen), f"{most:,} of {total:,} rows, chosen by chance"
    if total <= most:
        return columns.collect(engine="streaming"), None
    return shown.collect(engine="streaming"), f"Shown: {how}"


def _plain(column: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    if dtype.is_decimal():
        return column.cast(pl.Float64)
    if dtype.is_numeric() or isinstance(dtype, pl.Date | pl.Datetime):
        return column
    text = column.cast(pl.String)
    return pl.when(text.str.len_chars() > MAX_TEXT).then(text.str.slice(0, MAX_TEXT - 1) + "…").otherwise(text)


def _scale(dtype: pl.DataType) -> Scale:
    if dtype.is_numeric():
        return "quantitative"
    return "temporal" if isinstance(dtype, pl.Date | pl.Datetime) else "nominal"


def _titles(chart: Any, picked: dict[str, str]) -> dict[str, str]:
    """An empty one hides it."""
    stated = {"x": chart.x_title, "y": chart.y_title, "color": getattr(chart, "color_title", None)}
    return {role: name if stated[role] is None else stated[role] for role, name in picked.items()}
