"""What is said of workers as a whole."""

from collections import Counter

from platform_api.db.engine import Sessions
from platform_api.resources.workers.repository import WorkerRows

NONE = "none"


async def count_sandboxes(sessions: Sessions) -> dict[str, int]:
    """How many workers that live have which sandbox; those of `NONE` refuse CODE agents."""
    async with sessions() as session:
        states = await WorkerRows(session).live()
    return dict(Counter(state.sandbox or NONE for state in states))
