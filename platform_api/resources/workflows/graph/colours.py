"""What a status looks like, in every kind of picture."""

from collections.abc import Mapping
from dataclasses import dataclass

from flows.states import StepStatus


@dataclass(frozen=True)
class Colours:
    """Hexadecimal RGB; text on `fill` has a contrast of at least 7 : 1 with `text`."""

    fill: str
    stroke: str
    text: str


PLAIN = Colours("#f8fafc", "#64748b", "#0f172a")
BY_STATUS: Mapping[StepStatus, Colours] = {
    StepStatus.PENDING: Colours("#f1f5f9", "#94a3b8", "#334155"),
    StepStatus.RUNNING: Colours("#dbeafe", "#2563eb", "#172554"),
    StepStatus.PAUSED: Colours("#fef3c7", "#d97706", "#451a03"),
    StepStatus.COMPLETED: Colours("#dcfce7", "#16a34a", "#052e16"),
    StepStatus.FAILED: Colours("#fee2e2", "#dc2626", "#450a0a"),
    StepStatus.TIMEOUT: Colours("#ffedd5", "#ea580c", "#431407"),
    StepStatus.CANCELLED: Colours("#f3e8ff", "#9333ea", "#3b0764"),
    StepStatus.SKIPPED: Colours("#ffffff", "#cbd5e1", "#475569"),
}
