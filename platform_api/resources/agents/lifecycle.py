"""DRAFT → ACTIVE ⇄ INACTIVE → ARCHIVED, the life of agents and workflows alike."""

from collections.abc import Mapping

from platform_api.errors import InvalidState

MOVES: Mapping[str, frozenset[str]] = {
    "DRAFT": frozenset({"ACTIVE", "ARCHIVED"}),
    "ACTIVE": frozenset({"INACTIVE", "ARCHIVED"}),
    "INACTIVE": frozenset({"ACTIVE", "ARCHIVED"}),
    "ARCHIVED": frozenset(),
}


def check_move(label: str, current: str, wanted: str | None) -> None:
    """Raises `InvalidState` when `wanted` may not follow `current`, and for every change of what is archived."""
    if current == "ARCHIVED":
        raise InvalidState(f"This {label} is ARCHIVED, which is final: duplicate it to go on")
    if wanted is None or wanted == current or wanted in MOVES[current]:
        return
    allowed = " or ".join(sorted(MOVES[current]))
    raise InvalidState(f"This {label} is {current}: it can become {allowed}, not {wanted}")
