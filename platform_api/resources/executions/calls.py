"""The calls of a step as its record keeps them, and what becomes of those whose process has died."""

from collections.abc import Iterable
from typing import Any

from agents.calls import Call, CallStatus


def shown(calls: Iterable[Call]) -> list[dict[str, Any]]:
    """As JSON; money is written as text, exact."""
    return [call.model_dump(mode="json", by_alias=True, exclude_defaults=True) for call in calls]


def lost(noted: Iterable[dict[str, Any]]) -> list[Call]:
    """What was noted last: a call that was not over counts as what it had come to, which nobody knows better."""
    calls = map(Call.model_validate, noted)
    return [
        call.model_copy(update={"status": CallStatus.LOST}) if call.status is CallStatus.RUNNING else call
        for call in calls
    ]
