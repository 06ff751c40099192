"""Draws figures. Runs as a process of its own: `python -m agents.data.charts.drawing`.

A figure comes on standard input as JSON, the pictures are written into the folder named on the command line. Nothing
is loaded from a network: the fonts and the JavaScript are those of the package.
"""

import json
import sys
from pathlib import Path
from typing import Any

import altair as alt
import vl_convert

PNG_SCALE = 2.0
INK, FAINT, ACCENT = "#1f2937", "#e5e7eb", "#2563eb"
PALETTE = ["#2563eb", "#f59e0b", "#10b981", "#ef4444", "#8b5cf6", "#0891b2", "#db2777", "#65a30d", "#78716c", "#1e3a8a"]
CHARACTER_WIDTH = 7
BAR_THICKNESS = 18
TICKS = 8
EMBED = """
vegaEmbed("#chart", JSON.parse(document.getElementById("spec").textContent), {
  actions: { export: true, source: false, compiled: false, editor: false },
}).catch(console.error);
"""
"""Without the data in it: the bundler writes texts anew and takes back whatever was escaped in them."""

CONFIG: dict[str, Any] = {
    "background": "white",
    "padding": 16,
    "view": {"stroke": None},
    "range": {"category": PALETTE, "heatmap": {"scheme": "blues"}},
    "title": {"anchor": "start", "fontSize": 16, "color": INK, "offset": 14, "subtitleColor": "#6b7280"},
    "axis": {
        "labelFontSize": 11,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "labelColor": INK,
        "titleColor": INK,
        "labelLimit": 320,
        "gridColor": FAINT,
        "domainColor": "#9ca3af",
        "tickColor": "#9ca3af",
        "titlePadding": 10,
        "labelOverlap": "greedy",
        "labelSeparation": 12,
        "labelFlush": False,
    },
    "legend": {
        "labelColor": INK,
        "titleColor": INK,
        "labelFontSize": 11,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "labelLimit": 240,
    },
}


def draw(figure: dict[str, Any]) -> Any:
    """The figure as a chart of Altair."""
    data = alt.InlineData(values=figure["rows"])
    chart = alt.Chart(data, title=_title(figure))
    drawn = _DRAWN[figure["kind"]](chart, figure)
    return drawn.properties(width=figure["width"], height=_height(figure)).configure(**CONFIG)


def write(figure: dict[str, Any], folder: Path) -> None:
    """Writes `chart.png`, `chart.svg` and `chart.html`, as far as they are asked for."""
    spec = draw(figure).to_dict()
    for kind in figure["formats"]:
        target = folder / f"chart.{kind}"
        match kind:
            case "png":
                target.write_bytes(vl_convert.vegalite_to_png(spec, scale=PNG_SCALE, allowed_base_urls=[]))
            case "svg":
                target.write_text(vl_convert.vegalite_to_svg(spec, allowed_base_urls=[]), encoding="utf-8")
            case _:
                target.write_text(page(spec, figure["title"] or "Chart"), encoding="utf-8")


def page(spec: dict[str, Any], title: str) -> str:
    """One HTML file that works without a network; texts of the data cannot end the script that they stand in."""
    spec_text = json.dumps(spec).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return (
        '<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8">'
        f"<title>{_in_html(title)}</title>"
        "<style>body { margin: 0; font-family: sans-serif }</style></head>\n"
        f'<body><div id="chart"></div>\n<script type="application/json" id="spec">{spec_text}</script>\n'
        f'<script type="module">{vl_convert.javascript_bundle(EMBED)}</script></body>\n</html>\n'
    )


def _in_html(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _title(figure: dict[str, Any]) -> Any:
    if figure["title"] is None and figure["note"] is None:
        return alt.Undefined
    text, subtitle = (figure["title"], figure["note"]) if figure["title"] else (figure["note"], None)
    return alt.TitleParams(text=text, subtitle=subtitle or alt.Undefined)


def _height(figure: dict[str, Any]) -> int:
    """Bars that lie get as much room as they need."""
    if figure["kind"] != "bar" or not _lies(figure):
        return int(figure["height"])
    return max(int(figure["height"]), len({row["x"] for row in figure["rows"]}) * BAR_THICKNESS)


def _lies(figure: dict[str, Any]) -> bool:
    """Whether bars go from left to right, so that their names can be read."""
    if figure["scales"]["x"] != "nominal":
        return False
    names = {str(row["x"]) for row in figure["rows"]}
    widest = max(map(len, names), default=0) * CHARACTER_WIDTH
    return len(names) * (widest + CHARACTER_WIDTH) > int(figure["width"])


def _axis(figure: dict[str, Any], role: str, **options: Any) -> dict[str, Any]:
    """What all channels share; an empty title hides it."""
    if figure["scales"][role] != "nominal" and role != "color":
        options["axis"] = alt.Axis(tickCount=TICKS)
    return {"type": figure["scales"][role], "title": figure["titles"][role] or None, **options}


def _tooltip(figure: dict[str, Any]) -> list[alt.Tooltip]:
    return [
        alt.Tooltip(field=role, type=figure["scales"][role], title=title or role)
        for role, title in figure["titles"].items()
    ]


def _colored(figure: dict[str, Any]) -> dict[str, Any]:
    if "color" not in figure["titles"]:
        return {}
    return {"color": alt.Color(field="color", **_axis(figure, "color"))}


def _bar(chart: Any, figure: dict[str, Any]) -> Any:
    lies = _lies(figure)
    name: Any
    value: Any
    if figure["scales"]["x"] == "temporal":
        name = alt.X(field="x", **_axis(figure, "x"))
        value = alt.Y(field="y", **_axis(figure, "y"))
    elif lies:
        name = alt.Y(field="x", sort=None, axis=alt.Axis(labelOverlap=False), **_axis(figure, "x"))
        value = alt.X(field="y", **_axis(figure, "y"))
    else:
        name = alt.X(field="x", sort=None, axis=alt.Axis(labelAngle=0), **_axis(figure, "x"))
        value = alt.Y(field="y", **_axis(figure, "y"))
    encodings = _colored(figure)
    if encodings and not figure["stacked"]:
        encodings["yOffset" if lies else "xOffset"] = (alt.YOffset if lies else alt.XOffset)(
            field="color", type="nominal"
        )
    ink: dict[str, Any] = {} if encodings else {"color": ACCENT}
    return chart.mark_bar(**ink).encode(*(name, value), tooltip=_tooltip(figure), **encodings)


def _line(chart: Any, figure: dict[str, Any]) -> Any:
    encodings = _colored(figure)
    ink: dict[str, Any] = {} if encodings else {"color": ACCENT}
    return chart.mark_line(strokeWidth=1.8, **ink).encode(
        alt.X(field="x", sort=None, **_axis(figure, "x")),
        alt.Y(field="y", scale=alt.Scale(zero=False), **_axis(figure, "y")),
        tooltip=_tooltip(figure),
        **encodings,
    )


def _scatter(chart: Any, figure: dict[str, Any]) -> Any:
    encodings = _colored(figure)
    ink: dict[str, Any] = {} if encodings else {"color": ACCENT}
    return chart.mark_circle(size=22, opacity=0.45, **ink).encode(
        alt.X(field="x", scale=alt.Scale(zero=False), **_axis(figure, "x"))
        if figure["scales"]["x"] == "quantitative"
        else alt.X(field="x", **_axis(figure, "x")),
        alt.Y(field="y", scale=alt.Scale(zero=False), **_axis(figure, "y")),
        tooltip=_tooltip(figure),
        **encodings,
    )


def _histogram(chart: Any, figure: dict[str, Any]) -> Any:
    return chart.mark_bar(color=ACCENT, stroke="white", strokeWidth=0.5).encode(
        alt.X(field="x", bin="binned", **_axis(figure, "x")),
        alt.X2(field="x2"),
        alt.Y(field="y", **_axis(figure, "y")),
        tooltip=_tooltip(figure),
    )


def _heatmap(chart: Any, figure: dict[str, Any]) -> Any:
    return chart.mark_rect().encode(
        alt.X(field="x", sort=None, axis=alt.Axis(labelAngle=0), **_axis(figure, "x")),
        alt.Y(field="y", sort=None, **_axis(figure, "y")),
        color=alt.Color(field="color", scale=alt.Scale(scheme="blues"), **_axis(figure, "color")),
        tooltip=_tooltip(figure),
    )


_DRAWN = {"bar": _bar, "line": _line, "scatter": _scatter, "histogram": _histogram, "heatmap": _heatmap}


def main() -> None:
    """Draws what comes on standard input."""
    write(json.load(sys.stdin), Path(sys.argv[1]))


if __name__ == "__main__":
    main()
