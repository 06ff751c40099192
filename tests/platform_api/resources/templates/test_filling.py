"""Parameters in a template's texts: which are found, and that finding them takes no longer for hostile texts."""

import time

import pytest

from platform_api.resources.templates.filling import uses


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("{{ parameters.url }}", ["url"]),
        ("{{parameters.a}}/{{ parameters.b }}", ["a", "b"]),
        ("{{ parameters.a | upper }}", [None]),
        ("{{ parameters }} {{ parameters.a }}", ["a", None]),
        ("{{ inputs.parametersOf }}", []),
        ("parameters {{ inputs.x }} parameters", []),
        ("{{ parameters.a", []),
    ],
)
def test_uses_are_found(text: str, found: list[str | None]) -> None:
    assert [name for _, name in uses(text, "definition")] == found


@pytest.mark.case(21)
@pytest.mark.parametrize("text", ["{{" + "parameters " * 60_000, "{{ " * 200_000, "{{" + " " * 600_000])
def test_a_hostile_text_takes_linear_time(text: str) -> None:
    """Case 21: one text held the whole process for minutes."""
    began = time.process_time()
    assert list(uses(text, "definition")) == []
    assert time.process_time() - began < 1
