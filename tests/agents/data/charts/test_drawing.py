import re
from typing import Any

import pytest
import vl_convert

from agents.data.charts import drawing


def figure(kind: str, rows: list[dict[str, Any]], **rest: Any) -> dict[str, Any]:
    scales = {"x": "nominal" if kind in ("bar", "heatmap") else "quantitative", "y": "quantitative"}
    if kind == "heatmap":
        scales = {"x": "nominal", "y": "nominal", "color": "quantitative"}
    whole = {
        "kind": kind,
        "rows": rows,
        "scales": scales,
        "titles": {role: f"the {role}" for role in scales},
        "title": "A title",
        "width": 400,
        "height": 200,
        "stacked": True,
        "note": None,
        "formats": ["svg"],
    }
    return whole | rest


def svg(made: dict[str, Any]) -> str:
    drawn: str = vl_convert.vegalite_to_svg(drawing.draw(made).to_dict())
    return drawn


KINDS = {
    "bar": [{"x": "a", "y": 1}, {"x": "b", "y": 2}],
    "line": [{"x": 1, "y": 1}, {"x": 2, "y": None}, {"x": 3, "y": 2}],
    "scatter": [{"x": 1, "y": 1}, {"x": 2, "y": 2}],
    "histogram": [{"x": 0, "x2": 1, "y": 3}, {"x": 1, "x2": 2, "y": 5}],
    "heatmap": [{"x": "a", "y": "u", "color": 1}, {"x": "b", "y": "u", "color": 2}],
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_drawn_also_of_nothing(kind: str) -> None:
    full = svg(figure(kind, KINDS[kind]))
    for text in ("A title", "the x", "the y"):
        assert text in full
    assert "<svg" in svg(figure(kind, []))


def test_long_names_are_written_in_full_and_keep_their_order() -> None:
    names = [f"A carrier with a long name, number {number}" for number in (3, 1, 2, *range(4, 40))]
    made = figure("bar", [{"x": name, "y": 1} for name in names])
    drawn = svg(made)
    shown = re.findall(r">(A carrier with a long name, number \d+)<", drawn)
    assert list(dict.fromkeys(shown)) == names
    assert drawing.draw(made).to_dict()["height"] >= len(names) * 10


def test_groups_stand_beside_each_other_when_they_are_not_stacked() -> None:
    scales = {"x": "nominal", "y": "quantitative", "color": "nominal"}
    rows = [{"x": "a", "y": 1, "color": "u"}, {"x": "a", "y": 2, "color": "v"}]
    made = figure("bar", rows, scales=scales, titles=dict.fromkeys(scales, "t"))
    assert "xOffset" not in drawing.draw(made).to_dict()["encoding"]
    assert "xOffset" in drawing.draw({**made, "stacked": False}).to_dict()["encoding"]


def test_the_page_works_without_a_network_and_texts_stay_texts() -> None:
    evil = "</script><script>alert(1)</script>"
    spec = drawing.draw(figure("bar", [{"x": evil, "y": 1}], title=evil)).to_dict()
    page = drawing.page(spec, evil)
    assert "alert(1)</script>" not in page
    assert page.count("</script>") == 2
    assert page.count("<script") == 2
    assert re.findall(r"<(?:script|link)[^>]*(?:src|href)=", page) == []
    assert "cdn.jsdelivr" not in page


def test_a_note_stands_below_the_title() -> None:
    assert "every 5th row" in svg(figure("bar", KINDS["bar"], title=None, note="every 5th row"))
