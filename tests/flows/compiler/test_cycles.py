"""Order and cycles of random graphs against their definitions."""

from collections.abc import Callable
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from flows.compiler.cycles import find_cycles, topological_order
from tests.fixtures.cost import LINEAR, growth


@st.composite
def dags(draw: st.DrawFn) -> dict[str, list[str]]:
    """Dependencies by key, acyclic, written in any order."""
    names = [f"n{index}" for index in range(draw(st.integers(1, 12)))]
    graph = {name: draw(st.lists(st.sampled_from(names[:at] or [name]), unique=True)) for at, name in enumerate(names)}
    graph[names[0]] = []
    return {name: graph[name] for name in draw(st.permutations(names))}


@given(dags())
def test_order_respects_dependencies_and_holds_every_key(graph: dict[str, list[str]]) -> None:
    order = topological_order(graph, graph)

    assert sorted(order) == sorted(graph)
    assert all(order.index(needed) < order.index(key) for key, many in graph.items() for needed in many)
    assert find_cycles(graph) == []


@given(dags())
def test_an_order_that_is_already_right_is_kept(graph: dict[str, list[str]]) -> None:
    order = topological_order(graph, graph)

    assert topological_order(order, graph) == order


@given(st.dictionaries(st.sampled_from("abcdefgh"), st.lists(st.sampled_from("abcdefgh"), max_size=4), max_size=8))
def test_found_cycles_are_real_and_none_is_overlooked(edges: dict[str, list[str]]) -> None:
    graph = {node: [each for each in edges.get(node, []) if each in edges] for node in edges}
    cycles = find_cycles(graph)

    for cycle in cycles:
        assert cycle[0] == cycle[-1]
        assert len(set(cycle)) == len(cycle) - 1
        assert all(after in graph[before] for before, after in pairwise(cycle))
    assert bool(cycles) == (len(topological_order(graph, graph)) < len(graph))


def test_separate_knots_are_each_told() -> None:
    graph = {"a": ["b"], "b": ["a"], "c": ["c"], "d": ["a"], "e": []}

    assert find_cycles(graph) == [["a", "b", "a"], ["c", "c"]]
    assert topological_order(graph, graph) == ["e"]


def prepared(size: int) -> Callable[[], tuple[list[list[str]], list[str]]]:
    """Looks through a ring and a chain of that many."""
    ring = {str(index): [str((index + 1) % size)] for index in range(size)}
    chain = {str(index): [str(index + 1)] if index < size - 1 else [] for index in range(size)}
    return lambda: (find_cycles(ring), topological_order(chain, chain))


def test_size_is_only_a_matter_of_time_and_that_grows_with_it() -> None:
    size = 50_000

    cycles, order = prepared(size)()

    assert len(cycles[0]) == size + 1
    assert order[0] == str(size - 1)
    assert growth(prepared, size // 10, size) < LINEAR * 10
