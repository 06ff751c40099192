import datetime as dt
from typing import Any

import polars as pl
import pytest
from pydantic import TypeAdapter

from agents.data.charts.config import AnyChart
from agents.data.charts.figures import MAX_BARS, MAX_POINTS, make_figure, require_drawable
from agents.data.failures import ColumnMissing, OperationRefused

CHARTS: TypeAdapter[Any] = TypeAdapter(AnyChart)
DAYS = pl.LazyFrame(
    {
        "day": [dt.date(2013, 1, day) for day in range(1, 11)],
        "n": range(10),
        "v": [float(number) for number in range(10)],
        "who": ["a", "b"] * 5,
        "tags": [["x"]] * 10,
    }
)


def chart(**config: Any) -> AnyChart:
    made: AnyChart = CHARTS.validate_python(config)
    return made


@pytest.mark.parametrize(
    ("config", "scales"),
    [
        ({"kind": "bar", "x": "n", "y": "v"}, {"x": "nominal", "y": "quantitative"}),
        (
            {"kind": "line", "x": "day", "y": "v", "color": "who"},
            {"x": "temporal", "y": "quantitative", "color": "nominal"},
        ),
        ({"kind": "scatter", "x": "n", "y": "v"}, {"x": "quantitative", "y": "quantitative"}),
        (
            {"kind": "heatmap", "x": "n", "y": "who", "color": "v"},
            {"x": "nominal", "y": "nominal", "color": "quantitative"},
        ),
    ],
)
def test_a_figure_has_the_rows_of_the_table(config: dict[str, Any], scales: dict[str, str]) -> None:
    figure = make_figure(chart(**config), DAYS)
    assert len(figure.rows) == 10
    assert set(figure.rows[0]) == set(scales) == set(figure.titles)
    assert figure.scales == scales
    assert figure.note is None


def test_a_histogram_counts_all_rows() -> None:
    table = pl.LazyFrame({"v": [None, float("nan"), *([0.0] * 5), 9.9, 10.0, *([3.0] * 90_000)]})
    figure = make_figure(chart(kind="histogram", x="v", bins=10), table)
    assert figure.rows == [
        {"x": 0.0, "x2": 1.0, "y": 5},
        {"x": 3.0, "x2": 4.0, "y": 90_000},
        {"x": 9.0, "x2": 10.0, "y": 2},
    ]
    cut = make_figure(chart(kind="histogram", x="v", bins=2, min=1, max=5), table)
    assert sum(row["y"] for row in cut.rows) == 90_000
    assert make_figure(chart(kind="histogram", x="v"), table.head(2)).rows == []


@pytest.mark.parametrize(
    ("kind", "most", "note"),
    [
        ("bar", MAX_BARS, "Shown: the first 100 of 20,001 rows"),
        ("scatter", MAX_POINTS, "Shown: 5,000 of 20,001 rows, chosen by chance"),
        ("line", MAX_POINTS, "Shown: every 5th of 20,001 rows"),
    ],
)
def test_large_tables_are_cut_and_said_to_be(kind: str, most: int, note: str) -> None:
    table = pl.LazyFrame({"x": range(20_001), "y": range(20_001)})
    figure = make_figure(chart(kind=kind, x="x", y="y"), table)
    assert most / 2 < len(figure.rows) <= most
    assert figure.note == note


def test_texts_are_cut_and_titles_are_names_unless_given() -> None:
    table = pl.LazyFrame({"a.b": ["x" * 100], "n": [1]})
    figure = make_figure(chart(kind="bar", x="a.b", y="n", yTitle=""), table)
    assert figure.rows == [{"x": "x" * 59 + "…", "y": 1}]
    assert figure.titles == {"x": "a.b", "y": ""}


@pytest.mark.parametrize(
    ("config", "error"),
    [
        ({"kind": "bar", "x": "nobody", "y": "v"}, ColumnMissing),
        ({"kind": "bar", "x": "n", "y": "who"}, OperationRefused),
        ({"kind": "bar", "x": "tags", "y": "v"}, OperationRefused),
        ({"kind": "histogram", "x": "day"}, OperationRefused),
        ({"kind": "heatmap", "x": "n", "y": "v", "color": "who"}, OperationRefused),
    ],
)
def test_what_cannot_be_drawn(config: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        require_drawable(chart(**config), DAYS.collect_schema())
