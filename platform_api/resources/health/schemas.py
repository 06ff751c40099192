"""What probes answer; no envelope around it."""

from typing import Literal

from platform_api.kit.schemas import UtcTime, View

CheckStatus = Literal["up", "down"]


class Pool(View):
    """Connections of this process to PostgreSQL."""

    size: int
    in_use: int
    overflow: int


class DatabaseCheck(View):
    """PostgreSQL."""

    status: CheckStatus
    response_time_ms: float | None
    pool: Pool


class PrefectCheck(View):
    """The Prefect API."""

    status: CheckStatus
    response_time_ms: float | None


class WorkersCheck(View):
    """Workers with a recent heartbeat; None when Prefect, which counts them, cannot be asked.

    `codeSandboxes` is how many have which sandbox for CODE agents; those of `none` refuse them.
    """

    status: CheckStatus
    online: int | None
    code_sandboxes: dict[str, int] | None


class Checks(View):
    """Everything that is looked at."""

    database: DatabaseCheck
    prefect: PrefectCheck
    workers: WorkersCheck


class Health(View):
    """`healthy` when nothing is down."""

    status: Literal["healthy", "unhealthy"]
    version: str
    uptime_seconds: float
    timestamp: UtcTime
    checks: Checks


class Readiness(View):
    """Whether requests should be sent here."""

    status: Literal["ready", "unavailable"]
