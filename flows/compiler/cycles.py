"""Order and cycles of directed graphs. Nothing here recurses, so that the size of a graph is only a matter of time."""

import heapq
from collections.abc import Iterable, Mapping


def find_cycles(edges: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """One cycle for each knot of the graph, as a closed walk `[a, b, a]` along `edges`."""
    return [_closed_walk(edges, knot) for knot in _knots(edges)]


def topological_order(keys: Iterable[str], dependencies: Mapping[str, Iterable[str]]) -> list[str]:
    """`keys` so that each follows its dependencies, else in the given order. What hangs on a cycle is left out."""
    written = list(keys)
    rank = {key: position for position, key in enumerate(written)}
    waiting_for = {key: {d for d in dependencies.get(key, ()) if d in rank} for key in written}
    dependants: dict[str, list[str]] = {key: [] for key in written}
    for key, needed in waiting_for.items():
        for dependency in needed:
            dependants[dependency].append(key)
    ready = [rank[key] for key, needed in waiting_for.items() if not needed]
    order: list[str] = []
    while ready:
        key = written[heapq.heappop(ready)]
        order.append(key)
        for dependant in dependants[key]:
            waiting_for[dependant].discard(key)
            if not waiting_for[dependant]:
                heapq.heappush(ready, rank[dependant])
    return order


def _knots(edges: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """The strongly connected components that hold a cycle (Tarjan's algorithm, with a stack instead of calls)."""
    search = _ComponentSearch(edges)
    for node in edges:
        search.visit(node)
    return [part for part in search.components if len(part) > 1 or part[0] in edges.get(part[0], ())]


class _ComponentSearch:
    """The state of one run of Tarjan's algorithm."""

    def __init__(self, edges: Mapping[str, Iterable[str]]) -> None:
        self.components: list[list[str]] = []
        self._edges = edges
        self._number: dict[str, int] = {}
        self._lowest: dict[str, int] = {}
        self._open: list[str] = []
        self._is_open: set[str] = set()

    def visit(self, start: str) -> None:
        if start in self._number:
            return
        path = [(start, self._enter(start))]
        while path:
            node, successors = path[-1]
            following = next((each for each in successors if not self._seen(node, each)), None)
            if following is not None:
                path.append((following, self._enter(following)))
                continue
            path.pop()
            if path:
                parent = path[-1][0]
                self._lowest[parent] = min(self._lowest[parent], self._lowest[node])
            self._close(node)

    def _enter(self, node: str) -> Iterable[str]:
        self._number[node] = self._lowest[node] = len(self._number)
        self._open.append(node)
        self._is_open.add(node)
        return iter(self._edges.get(node, ()))

    def _seen(self, node: str, successor: str) -> bool:
        if successor not in self._number:
            return False
        if successor in self._is_open:
            self._lowest[node] = min(self._lowest[node], self._number[successor])
        return True

    def _close(self, node: str) -> None:
        if self._lowest[node] != self._number[node]:
            return
        component: list[str] = []
        while not component or component[-1] != node:
            component.append(self._open.pop())
            self._is_open.discard(component[-1])
        self.components.append(component[::-1])


def _closed_walk(edges: Mapping[str, Iterable[str]], knot: list[str]) -> list[str]:
    """A shortest cycle through the knot's first node."""
    start, inside = knot[0], set(knot)
    came_from: dict[str, str] = {}
    level = [start]
    while start not in came_from:
        following: list[str] = []
        for node in level:
            for successor in edges.get(node, ()):
                if successor in inside and successor not in came_from:
                    came_from[successor] = node
                    following.append(successor)
        level = following
    walk = [start, came_from[start]]
    while walk[-1] != start:
        walk.append(came_from[walk[-1]])
    return walk[::-1]
