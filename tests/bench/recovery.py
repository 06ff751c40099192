"""What a killed worker costs (P11): kill -9 at step 20 of 40, and the stack starts it again at once."""

import statistics
from collections.abc import AsyncIterator

from tests.bench.measure import Figure
from tests.factories.killed_worker import a_chain, killed_in_the_middle
from tests.fixtures.live import Live


async def figures(live: Live, *, rounds: int) -> AsyncIterator[Figure]:
    """How soon the next step begins, how many are done twice, how many runs are lost."""
    workflow = await a_chain(live)
    killed = [await killed_in_the_middle(live, workflow) for _ in range(rounds)]
    what = "P11 kill -9 of the worker"
    seconds = statistics.median(each.seconds for each in killed)
    yield Figure(f"{what} → the next step begins", seconds, "s", rounds, goal=5)
    yield Figure(f"{what}: steps done twice, at most", max(each.repeated for each in killed), "steps", rounds, goal=1)
    lost = sum(each.execution["status"] != "COMPLETED" for each in killed)
    yield Figure(f"{what}: runs lost", lost, "runs", rounds, goal=0)
