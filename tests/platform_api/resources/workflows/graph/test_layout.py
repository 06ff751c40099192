"""Places of nodes: layers by what waits for what, nothing over anything else, and large graphs in time."""

from collections.abc import Callable
from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from platform_api.resources.workflows.graph.layout import HEIGHT, WIDTH, Layout, layout
from tests.fixtures.cost import LINEAR, costs_less, growth

DAGS = st.integers(1, 12).flatmap(
    lambda size: st.tuples(*(st.sets(st.integers(0, max(0, node - 1))) for node in range(size))).map(
        lambda sets: {
            f"s{node}": tuple(f"s{each}" for each in sorted(above) if each < node) for node, above in enumerate(sets)
        }
    )
)


@given(DAGS)
def test_every_step_stands_right_of_what_it_waits_for_and_over_nothing(graph: dict[str, tuple[str, ...]]) -> None:
    placed = layout(graph)
    assert list(placed.nodes) == list(graph)
    for key, sources in graph.items():
        for source in sources:
            assert placed.nodes[source].x + WIDTH < placed.nodes[key].x
    for one, two in combinations(placed.nodes.values(), 2):
        assert abs(one.x - two.x) >= WIDTH or abs(one.y - two.y) >= HEIGHT
    assert layout(graph) == placed


@given(DAGS)
def test_lines_pass_every_layer_beside_its_nodes(graph: dict[str, tuple[str, ...]]) -> None:
    placed = layout(graph)
    for bends in placed.bends.values():
        assert all(left.x <= right.x for left, right in pairwise(bends))
        for bend in bends:
            for node in placed.nodes.values():
                inside = node.x < bend.x < node.x + WIDTH and node.y < bend.y < node.y + HEIGHT
                assert not inside


def test_nothing_is_nothing() -> None:
    assert layout({}).nodes == {}


Graph = dict[str, tuple[str, ...]]


def chain(size: int) -> Graph:
    return {f"s{n}": (f"s{n - 1}",) if n else () for n in range(size)}


def reversed_chain(size: int) -> Graph:
    return dict(reversed(chain(size).items()))


def fan(size: int) -> Graph:
    return {"first": (), **{f"s{n}": ("first",) for n in range(size)}}


def dense(size: int) -> Graph:
    """Many lines over many layers."""
    return {f"s{n}": tuple(f"s{each}" for each in range(max(0, n - 60), n, 3)) for n in range(size)}


@pytest.mark.case(28)
@pytest.mark.parametrize("shape", [chain, reversed_chain, fan, dense])
def test_large_graphs_cost_as_much_as_they_have_nodes(shape: Callable[[int], Graph]) -> None:
    def prepare(size: int) -> Callable[[], Layout]:
        graph = shape(size)
        return lambda: layout(graph)

    graph = shape(2_000)
    assert len(layout(graph).nodes) == len(graph)
    assert costs_less(1, lambda: prepare(2_000))
    assert growth(prepare, 400, 2_000) < LINEAR * 5
