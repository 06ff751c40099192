"""The chart of a config."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from agents.data.model import DataModel, refuse

ChartFormat = Literal["png", "svg", "html"]


class _Chart(DataModel):
    """What all charts share. Titles default to the names of the columns."""

    title: str | None = Field(default=None, max_length=200)
    x: str
    x_title: str | None = Field(default=None, max_length=100)
    y_title: str | None = Field(default=None, max_length=100)
    width: int = Field(default=640, ge=100, le=2_000)
    height: int = Field(default=360, ge=100, le=2_000)
    formats: list[ChartFormat] = Field(default=["png", "svg", "html"], min_length=1)

    def columns(self) -> list[str]:
        """The columns that it draws."""
        return [self.x]

    def measures(self) -> list[str]:
        """Those that must hold numbers."""
        return []


class _OfTwo(_Chart):
    y: str
    color: str | None = None

    def columns(self) -> list[str]:
        return list(dict.fromkeys([self.x, self.y, *([self.color] if self.color else [])]))

    def measures(self) -> list[str]:
        return [self.y]


class BarChart(_OfTwo):
    """`{"kind": "bar", "x": "carrier", "y": "mean_delay"}`: a bar for each row, in their order.

    `color` splits bars into parts, or puts them side by side with `"stacked": false`.
    """

    kind: Literal["bar"]
    stacked: bool = True


class LineChart(_OfTwo):
    """`{"kind": "line", "x": "time_hour", "y": "flights", "color": "origin"}`: a line, or one for each `color`."""

    kind: Literal["line"]


class ScatterChart(_OfTwo):
    """`{"kind": "scatter", "x": "distance", "y": "air_time", "color": "origin"}`: a point for each row."""

    kind: Literal["scatter"]


class Histogram(_Chart):
    """`{"kind": "histogram", "x": "dep_delay", "bins": 40}`: how many rows lie in each of the equally wide bins.

    `min` and `max` leave out what lies beyond them.
    """

    kind: Literal["histogram"]
    bins: int = Field(default=30, ge=2, le=200)
    min: float | int | None = None
    max: float | int | None = None

    @model_validator(mode="after")
    def _has_room(self) -> "Histogram":
        if self.min is not None and self.max is not None and self.min >= self.max:
            raise refuse("BAD_CONFIG", '"min" is less than "max"')
        return self

    def measures(self) -> list[str]:
        return [self.x]


class HeatMap(_Chart):
    """`{"kind": "heatmap", "x": "hour", "y": "origin", "color": "mean_delay"}`: a cell for each row."""

    kind: Literal["heatmap"]
    y: str
    color: str
    color_title: str | None = Field(default=None, max_length=100)

    def columns(self) -> list[str]:
        return [self.x, self.y, self.color]

    def measures(self) -> list[str]:
        return [self.color]


AnyChart = Annotated[BarChart | LineChart | ScatterChart | Histogram | HeatMap, Field(discriminator="kind")]
