"""Templates: what filling in one expression costs, cached and met for the first time."""

import itertools
from collections.abc import Callable, Iterator

from flows.compiler.expressions import evaluate, render
from tests.bench.measure import Figure, median_seconds

SCOPE = {
    "inputs": {"minimum": 15, "name": "EWR"},
    "load": {"output": {"rows": 27_004, "carriers": [{"name": "United", "delay": 12.5}]}},
}


def figures(*, rounds: int, repeat: int) -> Iterator[Figure]:
    """A condition, a typed reference, a text with three expressions, and a template never seen before."""

    def measure(name: str, work: Callable[[], object]) -> Figure:
        seconds = median_seconds(work, rounds=rounds, repeat=repeat)
        return Figure(name, seconds * 1e6, "µs", rounds)

    yield measure("condition: comparison of two values", lambda: evaluate("load.output.rows > inputs.minimum", SCOPE))
    yield measure("template: one reference, value kept", lambda: render("{{ load.output.carriers[0].delay }}", SCOPE))
    text = "{{ inputs.name }}: {{ load.output.rows }} rows, at least {{ inputs.minimum }} min"
    yield measure("template: a text with three expressions", lambda: render(text, SCOPE))
    fresh = itertools.count()
    yield measure(
        "template: parsed for the first time", lambda: render(f"{{{{ inputs.minimum + {next(fresh)} }}}}", SCOPE)
    )
