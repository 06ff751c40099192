"""Layers from left to right: what waits for nothing stands left, and each step right of all that it waits for.

Inside a layer steps stand at the mean height of their neighbours, found by a few sweeps (barycentres), so that lines
cross little. A line that passes a layer gets a place of its own there instead of crossing its nodes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

WIDTH, HEIGHT = 200.0, 56.0
"""Of a node, in pixels."""
MARGIN = 24.0
_COLUMN = WIDTH + 90.0
_GAP = 28.0
_LANE = 14.0
"""Height of a place that only a line passes."""
_SWEEPS = 6
_MAX_LANES = 10_000
"""Beyond this many, long lines go straight: there is nothing to be seen any more."""


@dataclass(frozen=True)
class Point:
    """Pixels from the upper left."""

    x: float
    y: float


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Upper left corners of the nodes, and the points between that lines over several layers pass."""

    nodes: Mapping[str, Point]
    bends: Mapping[tuple[str, str], tuple[Point, ...]]


@dataclass(eq=False)
class _Place:
    """A node, or where a line passes a layer."""

    layer: int
    height: float
    key: str | None = None
    left: "list[_Place]" = field(default_factory=list)
    right: "list[_Place]" = field(default_factory=list)
    order: int = 0
    y: float = 0.0

    @property
    def point(self) -> Point:
        return Point(MARGIN + self.layer * _COLUMN, round(self.y, 1))


def layout(dependencies: Mapping[str, Sequence[str]]) -> Layout:
    """Places for all keys; `dependencies` is acyclic and names known keys only."""
    depth = _depths(dependencies)
    nodes = {key: _Place(layer=layer, height=HEIGHT, key=key) for key, layer in depth.items()}
    lines = [(source, target) for target, sources in dependencies.items() for source in sources]
    lanes_wanted = sum(depth[target] - depth[source] - 1 for source, target in lines)
    chains = {line: _chain(nodes[line[0]], nodes[line[1]], lanes=lanes_wanted <= _MAX_LANES) for line in lines}
    layers: list[list[_Place]] = [[] for _ in range(1 + max(depth.values(), default=-1))]
    for place in (*nodes.values(), *(lane for chain in chains.values() for lane in chain)):
        layers[place.layer].append(place)
    _sort(layers)
    _set_heights(layers)
    bends = {line: tuple(bend for lane in chain for bend in _passage(lane)) for line, chain in chains.items() if chain}
    return Layout(nodes={key: place.point for key, place in nodes.items()}, bends=bends)


def _depths(dependencies: Mapping[str, Sequence[str]]) -> dict[str, int]:
    depth: dict[str, int] = {}
    for start in dependencies:
        waiting = [start]
        while waiting:
            key = waiting[-1]
            unknown = [each for each in dependencies[key] if each not in depth]
            if unknown and key not in depth:
                waiting.extend(unknown)
                continue
            depth.setdefault(key, 1 + max((depth[each] for each in dependencies[key]), default=-1))
            waiting.pop()
    return {key: depth[key] for key in dependencies}


def _chain(source: _Place, target: _Place, *, lanes: bool) -> list[_Place]:
    """The lanes of one line, linked with its ends."""
    passed = range(source.layer + 1, target.layer) if lanes else range(0)
    chain = [_Place(layer=layer, height=_LANE) for layer in passed]
    for left, right in zip([source, *chain], [*chain, target], strict=True):
        left.right.append(right)
        right.left.append(left)
    return chain


def _sort(layers: list[list[_Place]]) -> None:
    """Sweeps to the right and back; each layer is put in the order of the means of its neighbours' places."""
    for layer in layers:
        _number(layer)
    for sweep in range(_SWEEPS):
        rightward = sweep % 2 == 0
        for layer in layers if rightward else reversed(layers):
            layer.sort(key=_mean_on_the_left if rightward else _mean_on_the_right)
            _number(layer)


def _number(layer: list[_Place]) -> None:
    for order, place in enumerate(layer):
        place.order = order


def _mean_on_the_left(place: _Place) -> float:
    return _mean(place.left, place)


def _mean_on_the_right(place: _Place) -> float:
    return _mean(place.right, place)


def _mean(neighbours: Sequence[_Place], place: _Place) -> float:
    if not neighbours:
        return place.order
    return sum(each.order for each in neighbours) / len(neighbours)


def _set_heights(layers: list[list[_Place]]) -> None:
    """Stacks each layer, centred on the tallest, then pulls places towards their left neighbours where it can."""
    tallest = max((_stacked(layer) for layer in layers), default=0.0)
    for layer in layers:
        y = MARGIN + (tallest - _stacked(layer)) / 2
        for place in layer:
            place.y = y
            y += place.height + _GAP
    for layer in layers:
        _align(layer, bottom=MARGIN + tallest)


def _align(layer: list[_Place], *, bottom: float) -> None:
    wanted = [_middle(place) - place.height / 2 for place in layer]
    floor = MARGIN
    room_below = _room_below(layer, bottom)
    for place, y, lowest in zip(layer, wanted, room_below, strict=True):
        place.y = max(floor, min(y, lowest))
        floor = place.y + place.height + _GAP


def _room_below(layer: list[_Place], bottom: float) -> list[float]:
    """The lowest place for each, so that all below it still fit."""
    lowest: list[float] = []
    for place in reversed(layer):
        bottom -= place.height
        lowest.append(bottom)
        bottom -= _GAP
    return lowest[::-1]


def _middle(place: _Place) -> float:
    """The mean height of its left neighbours' middles, or its own."""
    middles = [each.y + each.height / 2 for each in place.left] or [place.y + place.height / 2]
    return sum(middles) / len(middles)


def _stacked(layer: list[_Place]) -> float:
    return sum(place.height for place in layer) + _GAP * max(0, len(layer) - 1)


def _passage(lane: _Place) -> tuple[Point, Point]:
    """Where a line enters and leaves the lane's layer."""
    corner, middle = lane.point, round(lane.y + lane.height / 2, 1)
    return Point(corner.x, middle), Point(corner.x + WIDTH, middle)
